import type { MemoryOfSessions } from './memory.js';
import type { Measured } from './processes.js';
import type { RateLatencies } from './rates.js';

/** What is measured in turn. */
export type Row = 'echo' | 'refusals' | 'events' | 'cycles';

const NAMES: Readonly<Record<Row, string>> = {
  echo: 'echo, bare uWebSockets.js (messages)',
  refusals: 'logout without a session (messages)',
  events: 'group commit, bare Redis (events)',
  cycles: 'token_auth and logout, recorded (cycles)',
};

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
    /** Events of cycles, two each, to those of the bare Redis. */
    readonly eventsToBareRedis: Spread;
  };
}

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export function summarize(rounds: readonly Readonly<Record<Row, Measured>>[]): Summary {
  const medianOf = (value: (round: Readonly<Record<Row, Measured>>) => number) =>
    spread(rounds.map(value)).median;
  const orNull = (row: Row, who: 'server' | 'redis') =>
    rounds[0]![row].cpu[who] === null ? null : medianOf((round) => round[row].cpu[who]!);
  const row = (name: Row): Measured => ({
    perSecond: medianOf((round) => round[name].perSecond),
    cpu: {
      server: orNull(name, 'server'),
      redis: orNull(name, 'redis'),
      load: medianOf((round) => round[name].cpu.load),
    },
  });
  const ratio = (value: (round: Readonly<Record<Row, Measured>>) => number) => spread(rounds.map(value));
  const hasCpu = rounds[0]!.echo.cpu.server !== null;
  return {
    rows: { echo: row('echo'), refusals: row('refusals'), events: row('events'), cycles: row('cycles') },
    ratios: {
      refusalsToEcho: ratio(({ refusals, echo }) => refusals.perSecond / echo.perSecond),
      refusalsToEchoByCpu: hasCpu
        ? ratio(({ refusals, echo }) => echo.cpu.server! / refusals.cpu.server!)
        : null,
      cyclesToEcho: ratio(({ cycles, echo }) => cycles.perSecond / echo.perSecond),
      eventsToBareRedis: ratio(({ cycles, events }) => (2 * cycles.perSecond) / events.perSecond),
    },
  };
}

function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const median = (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
  return { median, least: sorted[0]!, most: sorted.at(-1)! };
}

/** The result as it is printed. */
export function table(
  { rows, ratios }: Summary,
  latencies: readonly RateLatencies[],
  memory: MemoryOfSessions,
): string {
  const lines = [line('', ['per second', 'server µs', 'Redis µs', 'load µs'])];
  for (const [row, { perSecond, cpu }] of Object.entries(rows) as [Row, Measured][]) {
    const times = [cpu.server, cpu.redis, cpu.load].map((time) => (time === null ? '–' : time.toFixed(2)));
    lines.push(line(NAMES[row], [Math.round(perSecond).toLocaleString('en'), ...times]));
  }
  lines.push('', line('ratios', ['median', 'least', 'most']));
  const names: Record<keyof Summary['ratios'], string> = {
    refusalsToEcho: 'logout without a session / echo',
    refusalsToEchoByCpu: '  by CPU time of the server',
    cyclesToEcho: 'cycles / echo',
    eventsToBareRedis: 'events of cycles / bare Redis',
  };
  for (const [key, value] of Object.entries(ratios) as [keyof Summary['ratios'], Spread | null][]) {
    if (value) {
      const { median, least, most } = value;
      lines.push(
        line(
          names[key],
          [median, least, most].map((number) => number.toFixed(3)),
        ),
      );
    }
  }
  lines.push('', line('cycles at a rate, ms', ['p50', 'p99', 'max', 'begun late p99']));
  for (const { rate, cycle, late, errors } of latencies) {
    const times = [cycle.p50, cycle.p99, cycle.max, late?.p99 ?? 0].map((time) => time.toFixed(2));
    const problems = Object.keys(errors).length > 0 ? ` ${JSON.stringify(errors)}` : '';
    lines.push(line(`${rate.toLocaleString('en')} a second`, times) + problems);
  }
  lines.push('', line('memory of a session, bytes', ['gateway', 'Redis']));
  const { sessions, gateway, redis } = memory;
  lines.push(line(`${sessions.toLocaleString('en')} held open`, [gateway.toFixed(0), redis.toFixed(0)]));
  return `${lines.join('\n')}\n`;
}

function line(name: string, cells: readonly string[]): string {
  return name.padEnd(42) + cells.map((cell) => cell.padStart(14)).join('');
}
