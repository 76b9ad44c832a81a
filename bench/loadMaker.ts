import type { Latencies } from '../src/load/tally.js';
import type { Loop } from './generator.js';
import type { Measured } from './processes.js';

/** Processes whose use of CPU is looked at. */
export interface Watched {
  readonly server: number;
  readonly redis?: number;
}

/** Cycles of `token_auth` and `logout`. */
export interface Cycles {
  readonly urls: readonly string[];
  readonly clients: number;
  /** Cycles a second, whatever the server does. */
  readonly rate: number;
  readonly seconds: number;
}

/** How long cycles of `token_auth` and `logout` take at a rate, in ms. */
export interface RateLatencies {
  readonly rate: number;
  /** How many of those were done that were due: a share. */
  readonly done: number;
  readonly cycle: Pick<Latencies, 'p50' | 'p99' | 'max'>;
  /** 99th percentile of how late they were begun, which is part of it; null where that isn't told. */
  readonly lateP99: number | null;
  readonly errors: Readonly<Record<string, number>>;
}

/** How fast clients have come in. */
export interface Arrival {
  readonly perSecond: number;
  readonly errors: Readonly<Record<string, number>>;
}

/** Makes load: what is in this repository, or a generator that is given. */
export interface LoadMaker {
  /** Lets clients do the same over and over. `Measured` is about rounds of all steps. @throws Error when an answer is wrong */
  loop(loop: Loop, watched: Watched): Promise<Measured>;
  /** Plays cycles at a rate. @throws Error when nothing came of it */
  cycles(cycles: Cycles): Promise<RateLatencies>;
  /** Lets clients connect and enter by their tokens, as fast as it goes, and go again. */
  arrive(url: string, clients: number): Promise<Arrival>;
}
