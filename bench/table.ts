import type { RateLatencies } from './loadMaker.js';
import type { MemoryOfSessions } from './memory.js';
import type { Measured } from './processes.js';

/** What is measured in turn. */
export type Row = 'echo' | 'refusals' | 'events' | 'bareCycles' | 'cycles';

const NAMES: Readonly<Record<Row, string>> = {
  echo: 'echo, bare uWebSockets.js (messages)',
  refusals: 'logout without a session (messages)',
  events: 'group commit, bare Redis (events)',
  bareCycles: 'both, a bare server (cycles)',
  cycles: 'token_auth and logout, recorded (cycles)',
};

/** Everything, measured once. */
export interface Round {
  readonly rows: Readonly<Record<Row, Measured>>;
  /** The same rates in each round. */
  readonly latencies: readonly RateLatencies[];
  readonly memory: MemoryOfSessions;
}

/** Medians of the rounds; ratios are medians of the ratios in each round. */
export interface Summary {
  readonly rows: Readonly<Record<Row, Measured>>;
  readonly ratios: {
    /** Refusals, per second, to echoes. */
    readonly refusalsToEcho: Spread;
    /** CPU of an echo to CPU of a refusal. */
    readonly refusalsToEchoByCpu: Spread | null;
    /** Cycles, per second, to echoes. */
    readonly cyclesToEcho: Spread;
    /** Cycles of a server that does nothing but record them, per second, to echoes. */
    readonly bareCyclesToEcho: Spread;
    /** Cycles, per second, to those of such a server. */
    readonly cyclesToBareCycles: Spread;
    /** Events of cycles, two each, to those of the bare Redis. */
    readonly eventsToBareRedis: Spread;
  };
  readonly latencies: readonly SummaryOfRate[];
  readonly memory: { readonly sessions: number; readonly gateway: Spread; readonly redis: Spread };
}

/** Of latencies at a rate, in ms. */
export interface SummaryOfRate {
  readonly rate: number;
  readonly p50: Spread;
  readonly p99: Spread;
  readonly max: Spread;
  readonly lateP99: Spread | null;
  /** How much of what was due was done: a share. */
  readonly done: Spread;
  /** Of all rounds together. */
  readonly errors: Readonly<Record<string, number>>;
}

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export function summarize(rounds: readonly Round[]): Summary {
  const first = rounds[0]!;
  const spreadOf = (value: (round: Round) => number) => spread(rounds.map(value));
  const orNull = (value: (round: Round) => number | null) =>
    value(first) === null ? null : spreadOf((round) => value(round)!);
  const row = (name: Row): Measured => ({
    perSecond: spreadOf(({ rows }) => rows[name].perSecond).median,
    cpu: {
      server: orNull(({ rows }) => rows[name].cpu.server)?.median ?? null,
      redis: orNull(({ rows }) => rows[name].cpu.redis)?.median ?? null,
      load: spreadOf(({ rows }) => rows[name].cpu.load).median,
    },
  });
  const hasCpu = first.rows.echo.cpu.server !== null;
  return {
    rows: {
      echo: row('echo'),
      refusals: row('refusals'),
      events: row('events'),
      bareCycles: row('bareCycles'),
      cycles: row('cycles'),
    },
    ratios: {
      refusalsToEcho: spreadOf(({ rows: { refusals, echo } }) => refusals.perSecond / echo.perSecond),
      refusalsToEchoByCpu: hasCpu
        ? spreadOf(({ rows: { refusals, echo } }) => echo.cpu.server! / refusals.cpu.server!)
        : null,
      cyclesToEcho: spreadOf(({ rows: { cycles, echo } }) => cycles.perSecond / echo.perSecond),
      bareCyclesToEcho: spreadOf(({ rows: { bareCycles, echo } }) => bareCycles.perSecond / echo.perSecond),
      cyclesToBareCycles: spreadOf(
        ({ rows: { cycles, bareCycles } }) => cycles.perSecond / bareCycles.perSecond,
      ),
      eventsToBareRedis: spreadOf(
        ({ rows: { cycles, events } }) => (2 * cycles.perSecond) / events.perSecond,
      ),
    },
    latencies: first.latencies.map(({ rate }, i) => ({
      rate,
      p50: spreadOf(({ latencies }) => latencies[i]!.cycle.p50),
      p99: spreadOf(({ latencies }) => latencies[i]!.cycle.p99),
      max: spreadOf(({ latencies }) => latencies[i]!.cycle.max),
      lateP99: orNull(({ latencies }) => latencies[i]!.lateP99),
      done: spreadOf(({ latencies }) => latencies[i]!.done),
      errors: sumOf(rounds.map(({ latencies }) => latencies[i]!.errors)),
    })),
    memory: {
      sessions: first.memory.sessions,
      gateway: spreadOf(({ memory }) => memory.gateway),
      redis: spreadOf(({ memory }) => memory.redis),
    },
  };
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const median = (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
  return { median, least: sorted[0]!, most: sorted.at(-1)! };
}

function sumOf(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const [name, count] of counts.flatMap((some) => Object.entries(some))) {
    sums[name] = (sums[name] ?? 0) + count;
  }
  return sums;
}

const RATIOS: Readonly<Record<keyof Summary['ratios'], string>> = {
  refusalsToEcho: 'logout without a session / echo',
  refusalsToEchoByCpu: '  by CPU time of the server',
  cyclesToEcho: 'cycles / echo',
  bareCyclesToEcho: 'cycles of a bare server / echo',
  cyclesToBareCycles: 'cycles / cycles of a bare server',
  eventsToBareRedis: 'events of cycles / bare Redis',
};

const SPREAD = ['median', 'least', 'most'];

/** The result as it is printed. */
export function table({ rows, ratios, latencies, memory }: Summary): string {
  const lines = [line('', ['per second', 'server µs', 'Redis µs', 'load µs'])];
  for (const [row, { perSecond, cpu }] of Object.entries(rows) as [Row, Measured][]) {
    const times = [cpu.server, cpu.redis, cpu.load].map((time) => (time === null ? '–' : time.toFixed(2)));
    lines.push(line(NAMES[row], [Math.round(perSecond).toLocaleString('en'), ...times]));
  }
  lines.push('', line('ratios', SPREAD));
  for (const [key, value] of Object.entries(ratios) as [keyof Summary['ratios'], Spread | null][]) {
    if (value) lines.push(spreadLine(RATIOS[key], value, 3));
  }
  lines.push('', line('cycles at a rate, ms', SPREAD));
  for (const { rate, p50, p99, max, lateP99, done, errors } of latencies) {
    const name = `${rate.toLocaleString('en')} a second`;
    lines.push(spreadLine(`${name}: p50`, p50, 2), spreadLine('  p99', p99, 2), spreadLine('  max', max, 2));
    if (lateP99) lines.push(spreadLine('  begun late by the load tool, p99', lateP99, 2));
    if (done.least < 1) lines.push(spreadLine('  done, of what was due', done, 3));
    if (Object.keys(errors).length > 0) lines.push(`  errors: ${JSON.stringify(errors)}`);
  }
  lines.push('', line(`memory of a session, ${memory.sessions.toLocaleString('en')} held, bytes`, SPREAD));
  lines.push(spreadLine('gateway, resident', memory.gateway, 0), spreadLine('Redis', memory.redis, 0));
  return `${lines.join('\n')}\n`;
}

function spreadLine(name: string, { median, least, most }: Spread, digits: number): string {
  return line(
    name,
    [median, least, most].map((value) => value.toFixed(digits)),
  );
}

function line(name: string, cells: readonly string[]): string {
  return name.padEnd(42) + cells.map((cell) => cell.padStart(14)).join('');
}
