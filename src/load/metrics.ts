import { get } from 'node:http';
import { added, type Buckets, bucketsIn, ceiling, quantile } from './buckets.js';
import { nowMs } from './clock.js';

/** How late the event loop of a process was for what came in, in ms. */
export interface EventLoopDelay {
  readonly p99: number;
  /** What it was never later than: the next bound of its histogram. Null: later than the largest bound. */
  readonly ceiling: number | null;
}

/** What a process of the server says of itself at some time. */
export interface Sample {
  /** Seconds since the beginning of the run. */
  readonly atSeconds: number;
  /** CPU seconds it has used since it was started. */
  readonly cpuSeconds: number;
  /** Resident memory. */
  readonly residentBytes: number;
  /** Since the sample before; null in the first. */
  readonly eventLoopDelay: EventLoopDelay | null;
  readonly connections: number;
  readonly sessions: number;
  /** Operations that are not recorded yet. */
  readonly backlog: number;
}

/** The metrics of one process during a run. */
export interface Observed {
  readonly url: string;
  readonly samples: readonly Sample[];
  /** From the first sample to the last; null when there are no two. */
  readonly eventLoopDelay: EventLoopDelay | null;
  /** How often they could not be read, by reason. */
  readonly failures: Readonly<Record<string, number>>;
}

const EVERY_MS = 1000;
const TIMEOUT_MS = 900;

/** Reads the Prometheus metrics of one process of the server, once a second. */
export class Observer {
  private readonly samples: Sample[] = [];
  private readonly failures: Record<string, number> = {};
  private timer: NodeJS.Timeout | undefined;
  private beginMs = nowMs();
  private firstDelays: Buckets | undefined;
  private lastDelays: Buckets | undefined;

  /** @param url such as `http://127.0.0.1:8081/metrics` */
  constructor(readonly url: string) {}

  /** Why they can't be read; null: they can. */
  async problem(): Promise<string | null> {
    return fetchText(this.url).then(() => null, reasonOf);
  }

  /** Begins, at the beginning of the run. */
  begin(beginMs: number): void {
    this.beginMs = beginMs;
    const next = () => {
      void this.observe();
      const due = Math.ceil((nowMs() - beginMs + 1) / EVERY_MS) * EVERY_MS;
      this.timer = setTimeout(next, beginMs + due - nowMs());
    };
    this.timer = setTimeout(next, Math.max(0, beginMs - nowMs()));
  }

  /** Reads them a last time, unless that has just been done: of a moment, no use of CPU can be told. */
  async end(): Promise<Observed> {
    clearTimeout(this.timer);
    const sinceLastMs = nowMs() - this.beginMs - (this.samples.at(-1)?.atSeconds ?? 0) * 1000;
    if (sinceLastMs > EVERY_MS / 2) await this.observe();
    const { url, samples, failures } = this;
    return { url, samples, eventLoopDelay: delayBetween(this.firstDelays, this.lastDelays), failures };
  }

  private async observe(): Promise<void> {
    try {
      const text = await fetchText(this.url);
      const value = valuesOf(text);
      const delays = bucketsIn(text, 'openchamp_event_loop_delay_seconds');
      const atSeconds = Math.round(nowMs() - this.beginMs) / 1000;
      this.samples.push({
        atSeconds,
        cpuSeconds: value('process_cpu_seconds_total'),
        residentBytes: value('process_resident_memory_bytes'),
        eventLoopDelay: delayBetween(this.lastDelays, delays),
        connections: value('openchamp_connections'),
        sessions: value('openchamp_sessions{status="attached"}'),
        backlog: value('openchamp_commit_backlog_operations'),
      });
      this.firstDelays ??= delays;
      this.lastDelays = delays;
    } catch (error) {
      const reason = reasonOf(error as Error);
      this.failures[reason] = (this.failures[reason] ?? 0) + 1;
    }
  }
}

function delayBetween(before: Buckets | undefined, after: Buckets | undefined): EventLoopDelay | null {
  if (!before || !after || before === after) return null;
  const delays = added(before, after);
  const largest = ceiling(delays);
  return {
    p99: quantile(delays, 0.99) * 1000,
    ceiling: largest === Infinity ? null : largest * 1000,
  };
}

function reasonOf({ code, message }: NodeJS.ErrnoException): string {
  return code ?? message;
}

/** Gives the value of a metric, with its labels as they are shown; 0 when there is none. */
function valuesOf(text: string): (name: string) => number {
  const values = new Map<string, number>();
  for (const [, name, value] of text.matchAll(/^([a-z][a-z0-9_]*(?:\{.*\})?) (\S+)/gm))
    values.set(name!, Number(value));
  return (name) => values.get(name) ?? 0;
}

function fetchText(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get(url, { timeout: TIMEOUT_MS, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.once('error', reject);
      response.once('end', () =>
        response.statusCode === 200 ? resolve(text) : reject(new Error(`HTTP status ${response.statusCode}`)),
      );
    });
    request.once('timeout', () => request.destroy(new Error('timeout')));
    request.once('error', reject);
  });
}
