import type { Observed } from './metrics.js';
import type { Latencies } from './tally.js';

/** What happened in some time. */
export interface Outcome {
  readonly operations: Readonly<Record<string, Latencies>>;
  readonly errors: Readonly<Record<string, number>>;
  readonly counters: Readonly<Record<string, number>>;
}

/** A second of the run. */
export interface Second extends Outcome {
  /** Counted from 0. */
  readonly second: number;
  /** Clients that are connected at its end. */
  readonly connected: number;
}

/** What came out of a run. */
export interface Result {
  /** When it began, ISO 8601. */
  readonly startedAt: string;
  /** Connecting, and what a scenario does before the run. */
  readonly setup: Outcome & { readonly seconds: number; readonly connected: number };
  readonly seconds: readonly Second[];
  /** The run as a whole, its tail included. */
  readonly totals: Outcome & {
    /**
     * Of the same operations, latencies in µs, as HdrHistogram encodes them (V2, compressed, base64): those of several runs
     * can be merged, which percentiles can't.
     */
    readonly histograms: Readonly<Record<string, string>>;
  };
  /** From the beginning of the run to its end. */
  readonly durationSeconds: number;
  readonly generator: {
    /** CPU seconds of all workers during the run. */
    readonly cpuSeconds: number;
    /** How late operations were begun though a client was free, in ms; null without a schedule. */
    readonly late: Latencies | null;
  };
  readonly server: readonly Observed[];
}
