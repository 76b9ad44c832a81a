import type { Plan } from '../plan.js';
import type { Player } from '../player.js';

/** What the players of a worker know of the run. */
export interface Stage {
  readonly plan: Plan;
  /** Clients of all workers that were there when the run began. */
  listeners: number;
}

/** What a player does, again and again. */
export interface Actor {
  /** Makes a player ready that has just connected. @returns whether it is */
  prepare(): Promise<boolean>;
  /**
   * Does one operation.
   * @param intendedMs when it was due, by `nowMs`
   * @returns whether it is done; what went wrong has been counted
   */
  operate(intendedMs: number): Promise<boolean>;
}

/** A kind of load. */
export interface Scenario {
  /** One line for `--help`. */
  readonly description: string;
  /** As what an operation as a whole is counted; null: its parts tell enough. */
  readonly operation: string | null;
  /** When operations are due without `--rate`: as soon as a client is free, in waves, or never. */
  readonly pace: 'closed' | 'waves' | 'none';
  /** How many of the clients do operations, the first ones; default: all. The others are there. */
  active?(plan: Plan): number;
  /** Gives the players of a worker their parts. */
  cast(stage: Stage): (player: Player) => Actor;
}
