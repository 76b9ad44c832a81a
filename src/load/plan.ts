import type { Account } from './accounts.js';
import type { ScenarioName } from './scenarios/scenarios.js';
import type { Counts } from './tally.js';

/** What a run is to do, for all workers together. */
export interface Plan {
  readonly scenario: ScenarioName;
  /** WebSocket URLs; clients are spread over them evenly. */
  readonly targets: readonly string[];
  readonly clients: number;
  /** Operations a second; null: as fast as it goes. */
  readonly rate: number | null;
  readonly durationMs: number;
  /** New connections a second at the beginning; null: as fast as it goes. */
  readonly connectRate: number | null;
  readonly workers: number;
  /** Addresses to connect from, in turn; empty: the system's choice. */
  readonly sources: readonly string[];
  /** How long an answer, or a connection, may take. */
  readonly timeoutMs: number;
  readonly insecureTls: boolean;
  /** Eight letters that no other run has, to know its chat messages by. */
  readonly run: string;
  /** Password of the accounts. */
  readonly password: string;
  /** Clients that send, in `chat`. */
  readonly senders: number;
  /** Time between two waves of `reconnect`. */
  readonly everyMs: number;
  /** How long a client stays away that has lost its connection; null: it comes back at once, and asks to resume. */
  readonly awayMs: number | null;
}

/** What one worker is to do: it has every `workers`th client, from `worker` on. */
export interface WorkerPlan extends Plan {
  readonly worker: number;
  /** Of its clients, in their order. */
  readonly accounts: readonly Account[];
}

/** What a worker is told. */
export type ToWorker =
  | { readonly type: 'plan'; readonly plan: WorkerPlan }
  /** All are ready. @property atMs when the run begins, by `nowMs` @property listeners clients that are there */
  | { readonly type: 'begin'; readonly atMs: number; readonly listeners: number }
  /** Begin nothing more: the run ends before its time. */
  | { readonly type: 'stop' }
  /** Everything has been counted that will be; leave. */
  | { readonly type: 'end' };

/** What a worker tells. */
export type FromWorker =
  /** So many have connected so far; once a second. */
  | { readonly type: 'connecting'; readonly connected: number }
  /** Its clients have connected, or failed to, between two times by `nowMs`. */
  | {
      readonly type: 'ready';
      readonly connected: number;
      readonly counts: Counts;
      readonly fromMs: number;
      readonly untilMs: number;
    }
  /** What happened in a second of the run, counted from 0, and how many clients are connected after it. */
  | { readonly type: 'second'; readonly second: number; readonly connected: number; readonly counts: Counts }
  /** Nothing is left to be done. */
  | { readonly type: 'idle' }
  | { readonly type: 'left'; readonly usage: Usage; readonly counts: Counts };

export type FromWorkerOf<T extends FromWorker['type']> = Extract<FromWorker, { type: T }>;

/** What a worker itself has used. */
export interface Usage {
  /** CPU seconds during the run. */
  readonly cpuSeconds: number;
}

/** As what it is counted how long a client was gone that has lost its connection and has nothing else to do. */
export const RETURN = 'return';

/** As what it is counted how late operations are begun though a client is free: the delay of a worker itself. */
export const LATE = 'late';
