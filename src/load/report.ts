import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Observed } from './metrics.js';
import type { Plan } from './plan.js';
import type { Outcome, Result } from './result.js';
import { headline, notes } from './summary.js';
import type { Latencies } from './tally.js';

/** A chart of lines over time. */
interface Chart {
  readonly title: string;
  readonly unit: string;
  readonly isLogarithmic?: boolean;
  /** Of several, the reader chooses. */
  readonly views: readonly View[];
}

interface View {
  readonly name: string;
  readonly seconds: readonly number[];
  /** Null: nothing is known of that second. */
  readonly series: readonly { readonly name: string; readonly values: readonly (number | null)[] }[];
}

/** Makes an HTML page with charts that needs nothing but itself. */
export function htmlReport(plan: Plan, result: Result): string {
  const require = createRequire(import.meta.url);
  const [js, css] = ['uplot/dist/uPlot.iife.min.js', 'uplot/dist/uPlot.min.css'].map((file) =>
    readFileSync(require.resolve(file), 'utf8'),
  );
  const parts: Record<string, string> = {
    title: escaped(`Load test: ${plan.scenario}`),
    subtitle: subtitle(plan, result),
    tables: tables(plan, result),
    data: JSON.stringify(chartsOf(plan, result)).replaceAll('<', '\\u003c'),
    'uplot.js': js!,
    'uplot.css': css!,
  };
  const template = readFileSync(new URL('./report.html', import.meta.url), 'utf8');
  return template.replace(/{{([a-z.]+)}}/g, (_, name: string) => parts[name]!);
}

function chartsOf(plan: Plan, result: Result): Chart[] {
  const seconds = result.seconds.map(({ second }) => second + 1);
  const first = headline(plan, result.totals);
  const names = Object.keys(result.totals.operations).sort(
    (a, b) => Number(b === first) - Number(a === first),
  );
  const line = (name: string, value: (outcome: Outcome) => number | null) => ({
    name,
    values: result.seconds.map(value),
  });
  const latencies = names.map((name) => ({
    name,
    seconds,
    series: (['p50', 'p90', 'p99', 'p999', 'max'] as const).map((percentile) =>
      line(
        percentile === 'p999' ? 'p99.9' : percentile,
        ({ operations }) => operations[name]?.[percentile] ?? null,
      ),
    ),
  }));
  const throughput = names.map((name) => line(name, ({ operations }) => operations[name]?.count ?? 0));
  const problems = Object.keys(result.totals.errors);
  const errors = problems.map((problem) => line(problem, (outcome) => outcome.errors[problem] ?? 0));
  return [
    ...(names.length > 0
      ? [
          { title: 'Latency', unit: 'ms', isLogarithmic: true, views: latencies },
          { title: 'Throughput', unit: 'a second', views: [{ name: '', seconds, series: throughput }] },
        ]
      : []),
    {
      title: 'Errors',
      unit: 'a second',
      views: [{ name: '', seconds, series: errors.length > 0 ? errors : [line('none', () => 0)] }],
    },
    {
      title: 'Clients',
      unit: 'connected',
      views: [
        {
          name: '',
          seconds,
          series: [{ name: 'connected', values: result.seconds.map(({ connected }) => connected) }],
        },
      ],
    },
    ...serverChart('Server: CPU', '% of a core', result.server, (sample, before) =>
      before
        ? (100 * (sample.cpuSeconds - before.cpuSeconds)) /
          Math.max(0.001, sample.atSeconds - before.atSeconds)
        : null,
    ),
    ...serverChart('Server: memory', 'MiB', result.server, ({ residentBytes }) => residentBytes / 2 ** 20),
    ...serverChart(
      'Server: delay of the event loop, p99',
      'ms',
      result.server,
      ({ eventLoopDelay }) => eventLoopDelay?.p99 ?? null,
    ),
    ...serverChart(
      'Server: delay of the event loop, never above',
      'ms',
      result.server,
      ({ eventLoopDelay }) => eventLoopDelay?.ceiling ?? null,
    ),
    ...serverChart('Server: connections', '', result.server, ({ connections }) => connections),
    ...serverChart('Server: operations not recorded yet', '', result.server, ({ backlog }) => backlog),
  ];
}

type Sample = Observed['samples'][number];

/** A line for each process of the server. */
function serverChart(
  title: string,
  unit: string,
  server: readonly Observed[],
  value: (sample: Sample, before: Sample | undefined) => number | null,
): Chart[] {
  if (server.length === 0) return [];
  const seconds = [...new Set(server.flatMap(({ samples }) => samples.map(secondOf)))].sort((a, b) => a - b);
  const series = server.map(({ url, samples }) => {
    const bySecond = new Map(samples.map((sample, i) => [secondOf(sample), value(sample, samples[i - 1])]));
    return { name: new URL(url).host, values: seconds.map((second) => bySecond.get(second) ?? null) };
  });
  return [{ title, unit, views: [{ name: '', seconds, series }] }];
}

function secondOf({ atSeconds }: Sample): number {
  return Math.round(atSeconds);
}

function subtitle(plan: Plan, { startedAt, setup, durationSeconds }: Result): string {
  const facts = [
    `${startedAt.slice(0, 19).replace('T', ' ')} UTC`,
    plan.targets.join(', '),
    `${setup.connected} of ${plan.clients} clients`,
    plan.rate === null ? 'no fixed rate' : `${plan.rate} operations a second`,
    `${durationSeconds.toFixed(1)} s`,
  ];
  return facts.map(escaped).join(' · ');
}

const HEADINGS = ['', 'count', 'a second', 'mean', 'p50', 'p90', 'p99', 'p99.9', 'max ms'];

function tables(plan: Plan, result: Result): string {
  const { setup, totals, durationSeconds } = result;
  const heading = `<tr>${HEADINGS.map((text) => `<th>${text}</th>`).join('')}</tr>`;
  const problems = [
    ...Object.entries(setup.errors).map(([problem, times]) => `${times} × connecting: ${problem}`),
    ...Object.entries(totals.errors).map(([problem, times]) => `${times} × ${problem}`),
  ];
  return [
    `<table>${heading}${rows('run', totals, durationSeconds)}${rows('connecting', setup, setup.seconds)}</table>`,
    ...notes(plan, result).map((note) => `<p>${escaped(note)}</p>`),
    ...Object.entries(totals.counters).map(([what, times]) => `<p>${times} ${escaped(what)}</p>`),
    ...(problems.length > 0
      ? problems.map((text) => `<p class="bad">${escaped(text)}</p>`)
      : ['<p>No errors.</p>']),
  ].join('\n');
}

function rows(title: string, { operations }: Outcome, seconds: number): string {
  const group = `<tr class="group"><th colspan="${HEADINGS.length}">${title}</th></tr>`;
  return (
    group +
    Object.entries(operations)
      .map(([name, latencies]) => row(name, latencies, seconds))
      .join('')
  );
}

function row(name: string, { count, mean, p50, p90, p99, p999, max }: Latencies, seconds: number): string {
  const cells = [count, Math.round(count / seconds), mean, p50, p90, p99, p999, max];
  return `<tr><td>${escaped(name)}</td>${cells.map((value) => `<td>${value.toLocaleString('en-US')}</td>`).join('')}</tr>`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
