import hdr, { type Histogram } from 'hdr-histogram-js';

/** Latencies up to an hour, in µs, exact to three digits. */
const RANGE = {
  lowestDiscernibleValue: 1,
  highestTrackableValue: 3_600_000_000,
  numberOfSignificantValueDigits: 3,
} as const;

/** What happened in some time, as it travels between processes. */
export interface Counts {
  /** Histograms of latencies in µs by operation, as HdrHistogram encodes them (base64). */
  readonly operations: Readonly<Record<string, string>>;
  /** How often each problem came up. */
  readonly errors: Readonly<Record<string, number>>;
  /** Other things that are counted: pings, messages, … */
  readonly counters: Readonly<Record<string, number>>;
}

/** Latencies of an operation, in ms; how many there are. */
export interface Latencies {
  readonly count: number;
  readonly mean: number;
  readonly min: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** Counts operations by latency, problems, and other things. */
export class Tally {
  private readonly histograms = new Map<string, Histogram>();
  private readonly problems = new Map<string, number>();
  private readonly numbers = new Map<string, number>();

  /** An operation is done. */
  done(operation: string, latencyMs: number): void {
    const micros = Math.round(latencyMs * 1000);
    this.histogram(operation).recordValue(Math.min(Math.max(micros, 1), RANGE.highestTrackableValue));
  }

  /** Something went wrong. @param problem what, in words that are the same for the same thing */
  failed(problem: string, times = 1): void {
    this.problems.set(problem, (this.problems.get(problem) ?? 0) + times);
  }

  /** Something has been done that has no latency. */
  count(what: string, times = 1): void {
    this.numbers.set(what, (this.numbers.get(what) ?? 0) + times);
  }

  /** What was counted so far; counts from zero again. */
  take(): Counts {
    const counts = {
      operations: this.encoded(),
      errors: Object.fromEntries(this.problems),
      counters: Object.fromEntries(this.numbers),
    };
    for (const histogram of this.histograms.values()) histogram.reset();
    this.problems.clear();
    this.numbers.clear();
    return counts;
  }

  /** Adds what another tally has counted. */
  add({ operations, errors, counters }: Counts): void {
    for (const [operation, encoded] of Object.entries(operations)) {
      this.histogram(operation).add(hdr.decodeFromCompressedBase64(encoded, 32, false));
    }
    for (const [problem, times] of Object.entries(errors)) this.failed(problem, times);
    for (const [what, times] of Object.entries(counters)) this.count(what, times);
  }

  /** Histograms of latencies in µs by operation, as HdrHistogram encodes them (base64). */
  encoded(): Record<string, string> {
    const some = [...this.histograms].filter(([, { totalCount }]) => totalCount > 0);
    return Object.fromEntries(
      some.map(([operation, histogram]) => [operation, hdr.encodeIntoCompressedBase64(histogram)]),
    );
  }

  /** Latencies by operation. */
  latencies(): Record<string, Latencies> {
    return Object.fromEntries(
      [...this.histograms].map(([operation, histogram]) => [operation, summaryOf(histogram)]),
    );
  }

  /** Problems, the most frequent first. */
  errors(): Record<string, number> {
    return Object.fromEntries([...this.problems].sort(([, a], [, b]) => b - a));
  }

  /** What was counted that has no latency. */
  counters(): Record<string, number> {
    return Object.fromEntries(this.numbers);
  }

  /** How often something was counted that has no latency. */
  counted(what: string): number {
    return this.numbers.get(what) ?? 0;
  }

  /** How often an operation was done. */
  countOf(operation: string): number {
    return this.histograms.get(operation)?.totalCount ?? 0;
  }

  private histogram(operation: string): Histogram {
    let histogram = this.histograms.get(operation);
    if (!histogram) {
      histogram = hdr.build({ ...RANGE, bitBucketSize: 32, useWebAssembly: false });
      this.histograms.set(operation, histogram);
    }
    return histogram;
  }
}

function summaryOf(histogram: Histogram): Latencies {
  const ms = (micros: number) => Math.round(micros) / 1000;
  const at = (percentile: number) => ms(histogram.getValueAtPercentile(percentile));
  return {
    count: histogram.totalCount,
    mean: ms(histogram.mean),
    min: ms(histogram.minNonZeroValue),
    p50: at(50),
    p90: at(90),
    p99: at(99),
    p999: at(99.9),
    max: ms(histogram.maxValue),
  };
}
