import { AUTH_TEXTS } from '../protocol/errors.js';
import type { EventLoopDelay } from './metrics.js';
import { type Plan, RETURN } from './plan.js';
import type { Outcome, Result, Second } from './result.js';
import { DELIVERY } from './scenarios/chat.js';
import { SCENARIOS } from './scenarios/scenarios.js';
import type { Latencies } from './tally.js';

/** The operation that stands for all when there is room for one only. */
export function headline(plan: Plan, { operations }: Pick<Outcome, 'operations'>): string {
  const { operation } = SCENARIOS[plan.scenario];
  const names = Object.keys(operations);
  return operation ?? [DELIVERY, RETURN].find((name) => names.includes(name)) ?? names[0] ?? 'operation';
}

/** One line about a second of the run. */
export function progressLine(plan: Plan, second: Second): string {
  const name = headline(plan, second);
  const latencies = second.operations[name];
  const parts = [
    `${String(second.second + 1).padStart(4)} s`,
    `${whole(second.connected)} connected`,
    ...(latencies
      ? [
          `${whole(latencies.count)} ${name}/s`,
          `p50 ${ms(latencies.p50)}  p99 ${ms(latencies.p99)}  max ${ms(latencies.max)} ms`,
        ]
      : []),
    ...Object.entries(second.counters).map(([what, times]) => `${whole(times)} ${what}`),
    `${whole(sum(second.errors))} errors`,
  ];
  return parts.join('   ');
}

/** The result as a table, and what one has to know to read it. */
export function summary(plan: Plan, result: Result): string {
  const { setup, totals, durationSeconds, generator } = result;
  const lines = [
    '',
    `${plan.scenario}: ${whole(setup.connected)} of ${whole(plan.clients)} clients, ${durationSeconds.toFixed(1)} s`,
    '',
    ...table('connecting', setup, setup.seconds),
    ...(Object.keys(totals.operations).length > 0 ? ['', ...table('run', totals, durationSeconds)] : []),
    '',
    ...Object.entries(totals.counters).map(([what, times]) => `${whole(times)} ${what}`),
    ...errorLines(result),
    ...notes(plan, result),
    `generator: ${generator.cpuSeconds.toFixed(2)} CPU seconds in ${plan.workers} worker${plan.workers > 1 ? 's' : ''}`,
    ...serverLines(result),
  ];
  return `${lines.join('\n')}\n`;
}

/** How much went wrong, connecting included. */
export function errorCount({ setup, totals }: Result): number {
  return sum(setup.errors) + sum(totals.errors);
}

/** Whether anything was done at all: operations, or sessions that were held. */
export function isAnythingDone(plan: Plan, { setup, totals }: Result): boolean {
  if (SCENARIOS[plan.scenario].pace === 'none') return (setup.operations.token_auth?.count ?? 0) > 0;
  return Object.keys(totals.operations).length > 0;
}

/** What one has to know to read the latencies. */
export function notes(plan: Plan, { generator }: Result): string[] {
  const { pace } = SCENARIOS[plan.scenario];
  if (pace === 'none') return [];
  if (plan.rate === null && pace === 'closed') {
    return [
      'Closed loop: each client goes on when it has its answer, so the latencies are queueing. Take latencies with --rate.',
    ];
  }
  const { late } = generator;
  return [
    'Latencies are counted from when operations were due.',
    ...(late
      ? [`Of that, begun late by the generator itself: p50 ${ms(late.p50)}  p99 ${ms(late.p99)} ms`]
      : []),
  ];
}

const COLUMNS = ['count', 'a second', 'p50', 'p90', 'p99', 'p99.9', 'max ms'];

function table(title: string, { operations }: Outcome, seconds: number): string[] {
  const rows = Object.entries(operations).map(([name, latencies]) => [name, ...cells(latencies, seconds)]);
  return [[title, ...COLUMNS], ...rows].map(([name = '', ...columns]) =>
    [name.padEnd(18), ...columns.map((column) => column.padStart(10))].join(''),
  );
}

function cells({ count, p50, p90, p99, p999, max }: Latencies, seconds: number): string[] {
  return [whole(count), whole(count / seconds), ...[p50, p90, p99, p999, max].map(ms)];
}

function errorLines({ setup, totals }: Result): string[] {
  const all = [
    ...Object.entries(setup.errors).map(([problem, times]) => `${whole(times)} × connecting: ${problem}`),
    ...Object.entries(totals.errors).map(([problem, times]) => `${whole(times)} × ${problem}`),
  ];
  if (all.length === 0) return ['no errors'];
  const hint = all.some((line) => line.includes(AUTH_TEXTS.token))
    ? [
        'Tokens are not valid any more, or of another deployment: `openchamp seed` makes new ones for the same accounts.',
      ]
    : [];
  return ['errors:', ...all.map((line) => `  ${line}`), ...hint];
}

function serverLines({ server }: Result): string[] {
  return server.flatMap(({ url, samples, eventLoopDelay, failures }) => {
    const [first, last] = [samples[0], samples.at(-1)];
    const problems = Object.entries(failures).map(([reason, times]) => `${times} × not read (${reason})`);
    if (!first || !last) return [`server ${url}: ${problems.join(', ')}`];
    const cpu = last.cpuSeconds - first.cpuSeconds;
    const seconds = Math.max(0.001, last.atSeconds - first.atSeconds);
    const memory = Math.max(...samples.map(({ residentBytes }) => residentBytes)) / 2 ** 20;
    const facts = [
      `${cpu.toFixed(2)} CPU seconds (${Math.round((100 * cpu) / seconds)} % of a core)`,
      `up to ${Math.round(memory)} MiB`,
      ...(eventLoopDelay ? [delayed(eventLoopDelay)] : []),
    ];
    return [`server ${url}: ${[...facts, ...problems].join(', ')}`];
  });
}

/** How late an event loop was, in words. */
export function delayed({ p99, ceiling }: EventLoopDelay): string {
  return `event loop late by ${ms(p99)} ms (p99), ${ceiling === null ? 'once very long' : `never by more than ${ceiling} ms`}`;
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, times) => total + times, 0);
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function ms(value: number): string {
  return value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0);
}
