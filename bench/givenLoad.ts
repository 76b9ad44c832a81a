import { defaultSources } from '../src/load/machine.js';
import { CYCLE, TOKEN_AUTH } from './conversations.js';
import type { Loop, Step } from './generator.js';
import type { Arrival, Cycles, LoadMaker, RateLatencies, Watched } from './loadMaker.js';
import { cpuSeconds, type Measured, type Processes } from './processes.js';

/** What such a generator prints with `--json`, as far as it is looked at. Times of latencies are in µs. */
interface Output {
  readonly setups_per_second: number;
  readonly conns_failed: number;
  readonly loops: number;
  readonly loops_per_second: number;
  readonly loops_lost: number;
  readonly unexpected_errors: number;
  readonly latency_us: { readonly p50: number; readonly p99: number; readonly max: number };
  readonly client_cpu_loop_seconds: number;
  /** Of all processes named by `--pid`. */
  readonly server_cpu_loop_seconds?: number;
}

/**
 * Makes load by a program that isn't part of this repository. It takes the options that are used here: `--target
 * HOST:PORT/PATH,…`, `--conns`, `--inflight`, `--vars FILE` (columns that `{1}`, `{2}` in steps stand for), `--setup STEPS`
 * (done once), `--loop STEPS` (done over and over for `--duration` seconds, at most `--rate` a second), a step being
 * `send=TEXT` or `expect=TEXT` and `;` between them, `--src FIRST-LAST`, `--abort` (end with resets), `--pid PID,…`, `--json`.
 */
export class GivenLoad implements LoadMaker {
  /** @param program its path */
  constructor(
    private readonly program: string,
    private readonly processes: Processes,
  ) {}

  async loop(
    { url, connections, inFlight, steps, warmUpMs, durationMs }: Loop,
    watched: Watched,
  ): Promise<Measured> {
    const pids = Object.values(watched).join();
    const options = { conns: connections, inflight: inFlight, loop: textOf(steps), pid: pids };
    await this.run([url], { ...options, duration: warmUpMs / 1000 });
    const redisBefore = cpuSeconds(watched.redis);
    const output = await this.run([url], { ...options, duration: durationMs / 1000 });
    const redisSeconds = cpuSeconds(watched.redis) - redisBefore; // connecting costs Redis nothing
    const each = (seconds: number) => (Number.isNaN(seconds) ? null : (seconds / output.loops) * 1e6);
    const servers = output.server_cpu_loop_seconds ?? NaN;
    return {
      perSecond: output.loops_per_second,
      cpu: {
        server: each(Number.isNaN(redisSeconds) ? servers : servers - redisSeconds),
        redis: each(redisSeconds),
        load: (output.client_cpu_loop_seconds / output.loops) * 1e6,
      },
    };
  }

  async cycles({ urls, clients, rate, seconds }: Cycles): Promise<RateLatencies> {
    const output = await this.run(urls, { conns: clients, loop: textOf(CYCLE), rate, duration: seconds });
    const { p50, p99, max } = output.latency_us;
    const cycle = { p50: p50 / 1000, p99: p99 / 1000, max: max / 1000 };
    return {
      rate,
      done: output.loops / Math.round(rate * seconds),
      cycle,
      lateP99: null,
      errors: errorsIn(output),
    };
  }

  async arrive(url: string, clients: number): Promise<Arrival> {
    const sources = defaultSources(clients, [url]);
    const output = await this.run([url], {
      conns: clients,
      setup: textOf([TOKEN_AUTH]),
      ...(sources.length > 0 && { src: `${sources[0]}-${sources.at(-1)}` }),
      abort: true,
    });
    return { perSecond: output.setups_per_second, errors: errorsIn(output) };
  }

  private async run(
    urls: readonly string[],
    options: Readonly<Record<string, string | number | true>>,
  ): Promise<Output> {
    const target = urls.map((url) => url.replace('ws://', '')).join();
    const args = Object.entries({
      target,
      vars: this.processes.tokens,
      ...options,
      json: true,
      quiet: true,
    } as const);
    const texts = args.flatMap(([name, value]) =>
      value === true ? [`--${name}`] : [`--${name}`, String(value)],
    );
    return JSON.parse(await this.processes.output(this.program, texts)) as Output;
  }
}

function textOf(steps: readonly Step[]): string {
  return steps.map(({ send, expect }) => `send=${send};expect=${expect}`).join(';');
}

function errorsIn({ conns_failed, loops_lost, unexpected_errors }: Output): Record<string, number> {
  const counts = {
    'connections failed': conns_failed,
    'loops lost': loops_lost,
    'unexpected answers': unexpected_errors,
  };
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}
