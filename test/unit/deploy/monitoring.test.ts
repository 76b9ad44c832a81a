import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { createMetrics } from '../../../src/admin/metrics.js';
import { tempDir } from '../../support/guardian.js';
import { IDLE } from '../../support/metrics.js';
import { HAS_PROMETHEUS, promtool } from '../../support/prometheus.js';

const pathOf = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const read = (path: string) => readFileSync(pathOf(path), 'utf8');

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly { readonly alert: string; readonly expr: string }[];
  }[];
}

interface Dashboard {
  readonly panels: readonly { readonly targets: readonly { readonly expr: string }[] }[];
}

describe('monitoring/', () => {
  const rules = parse(read('monitoring/alerts.yaml')) as Rules;
  const dashboard = JSON.parse(read('monitoring/dashboard.json')) as Dashboard;

  it('has the alerts that Kubernetes has', () => {
    const { spec } = parse(read('k8s/components/monitoring/alerts.yaml')) as { spec: Rules };
    expect(rules).toEqual(spec);
  });

  it('has alerts that the documentation explains', () => {
    const docs = read('docs/kubernetes.md');
    for (const { alert } of rules.groups.flatMap((group) => group.rules))
      expect(docs).toContain(`| ${alert} |`);
  });

  it.skipIf(!HAS_PROMETHEUS)(
    'says that clients lose their connections when many do, and not by a drain',
    () => {
      // how many lose their connection in each minute from the third on, by reason; how many there are, minute by minute
      const cases: [fires: boolean, ofEachMinute: Record<string, number>, attached: string][] = [
        [false, { closed: 30 }, '1000x12'],
        [false, { drained: 500, taken_over: 100 }, '1000x12'],
        [true, { closed: 300 }, '1000x12'],
        [true, { node_lost: 200 }, '1000 1000 1000 800 600 400 200 0x5'],
        [false, { closed: 9 }, '0x12'],
      ];
      const tests = cases.map(([fires, lost, attached]) => ({
        interval: '1m',
        input_series: [
          { series: 'openchamp_sessions{status="attached"}', values: attached },
          ...['closed', 'node_lost', 'drained', 'taken_over'].map((reason) => ({
            series: `openchamp_detaches_total{reason="${reason}"}`,
            values: `0 0 0+${lost[reason] ?? 0}x10`,
          })),
        ],
        promql_expr_test: [
          {
            expr: 'count(ALERTS{alertname="OpenChampSessionsLost",alertstate="firing"})',
            eval_time: '9m',
            exp_samples: fires ? [{ value: 1 }] : [],
          },
        ],
      }));
      const file = join(tempDir(), 'tests.yaml');
      writeFileSync(file, stringify({ rule_files: [pathOf('monitoring/alerts.yaml')], tests }));
      expect(promtool(['test', 'rules', file])).toMatchObject({ code: 0 });
    },
  );

  it('asks for metrics and labels that there are', async () => {
    const metrics = createMetrics(IDLE);
    metrics.messageWaited('logout', 1);
    const exposed = await metrics.text();
    const expressions = [
      ...rules.groups.flatMap((group) => group.rules.map(({ expr }) => expr)),
      ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
    ];
    const names = expressions.flatMap((expr) => expr.match(METRIC) ?? []);
    expect(new Set(names).size).toBeGreaterThan(20);
    for (const name of names) expect(exposed).toMatch(new RegExp(`^${name}[{ ]`, 'm'));
    const series = exposed.split('\n');
    const has = (metric: string, label: string) =>
      series.some((line) => line.startsWith(`${metric}{`) && line.includes(label));
    for (const expr of expressions) {
      const metrics = expr.match(METRIC)!;
      for (const label of groupedBy(expr)) {
        expect(has(metrics[0], `${label}="`), `${label} of ${metrics[0]}`).toBe(true);
      }
      for (const [, metric, selector] of expr.matchAll(SELECTED)) {
        for (const [, label, values] of selector!.matchAll(/(\w+)=~?"(\w[^"]*)"/g)) {
          for (const value of values!.split('|')) {
            expect(has(metric!, `${label}="${value}"`), `${label}="${value}" of ${metric}`).toBe(true);
          }
        }
      }
    }
  });
});

const METRIC = /(?:openchamp|nodejs|process)_[a-z0-9_]+/g;

/** A metric with what is asked of its labels. */
const SELECTED = new RegExp(`(${METRIC.source})\\{([^}]*)\\}`, 'g');

/** Labels by which an expression groups, but for those that Prometheus adds. */
function groupedBy(expr: string): string[] {
  return [...expr.matchAll(/\bby \(([^)]*)\)/g)]
    .flatMap(([, labels]) => labels!.split(', '))
    .filter((label) => !['instance', 'le'].includes(label));
}
