import { eventually } from '../../support/eventually.js';
import type { Account } from '../../support/fleet.js';
import { Random } from '../../support/random.js';
import { type Habits, Regular } from './regular.js';

export interface CrowdOptions extends Pick<Habits, 'urls' | 'pace' | 'breaksOff'> {
  /** A player for each. */
  readonly accounts: readonly Account[];
  readonly seed: number;
}

/** Real clients that come, log in, chat, log out, break off and come back, all the time. */
export class Crowd {
  /** Whether players wait for matches. */
  queues = true;
  readonly players: readonly Regular[];
  private readonly playing: Promise<unknown>;

  constructor({ accounts, seed, ...habits }: CrowdOptions) {
    const queues = () => this.queues;
    const neighbour = (random: Random) => this.players[random.below(this.players.length)]!;
    this.players = accounts.map(
      (account, i) => new Regular(i, account, new Random(seed + i), { ...habits, queues, neighbour }),
    );
    this.playing = Promise.all(this.players.map((player) => player.play()));
  }

  /** Waits until everybody has been logged in so many times more. */
  async everybodyPlays(times: number, timeoutMs = 60_000): Promise<void> {
    const before = this.players.map(({ logins }) => logins);
    const waiting = () =>
      this.players.filter(({ logins }, i) => logins < before[i]! + times).map(({ number }) => number);
    await eventually(() => waiting().length === 0, {
      timeoutMs,
      intervalMs: 50,
      message: `everybody logs in ${times} times more`,
    }).catch((error: Error) => {
      error.message += `; still to come: players ${waiting().slice(0, 10)} (${waiting().length})`;
      throw error;
    });
  }

  /** All go home. */
  async end(): Promise<void> {
    for (const player of this.players) player.isOver = true;
    await this.playing;
  }

  /** Everything that a client should not have seen. */
  get problems(): string[] {
    return this.players.flatMap(({ number, problems }) =>
      problems.map((problem) => `player ${number}: ${problem}`),
    );
  }

  /** A figure of all players together. */
  sum(of: (player: Regular) => number): number {
    return this.players.reduce((sum, player) => sum + of(player), 0);
  }

  /** The longest that anybody has waited for an answer, or in vain, since a time by the wall clock; in ms. */
  longestWait(since: number): number {
    const waits = this.players.flatMap(({ diary }) =>
      diary.filter(({ endedAt }) => endedAt >= since).map(({ askedAt, endedAt }) => endedAt - askedAt),
    );
    return Math.max(0, ...waits);
  }
}
