import { get } from 'node:http';
import { nowMs } from './clock.js';

/** What a process of the server says of itself at some time. */
export interface Sample {
  /** Seconds since the beginning of the run. */
  readonly atSeconds: number;
  /** CPU seconds it has used since it was started. */
  readonly cpuSeconds: number;
  /** Resident memory. */
  readonly residentBytes: number;
  /** 99th percentile of the delay of its event loop since the sample before. */
  readonly eventLoopLagMs: number;
  readonly connections: number;
  readonly sessions: number;
  /** Operations that are not recorded yet. */
  readonly backlog: number;
}

/** The metrics of one process during a run. */
export interface Observed {
  readonly url: string;
  readonly samples: readonly Sample[];
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
    return { url: this.url, samples: this.samples, failures: this.failures };
  }

  private async observe(): Promise<void> {
    try {
      const value = valuesOf(await fetchText(this.url));
      const atSeconds = Math.round(nowMs() - this.beginMs) / 1000;
      this.samples.push({
        atSeconds,
        cpuSeconds: value('process_cpu_seconds_total'),
        residentBytes: value('process_resident_memory_bytes'),
        eventLoopLagMs: value('nodejs_eventloop_lag_p99_seconds') * 1000,
        connections: value('openchamp_connections'),
        sessions: value('openchamp_sessions{status="attached"}'),
        backlog: value('openchamp_commit_backlog_operations'),
      });
    } catch (error) {
      const reason = reasonOf(error as Error);
      this.failures[reason] = (this.failures[reason] ?? 0) + 1;
    }
  }
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
