import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { createMetrics } from '../../../src/admin/metrics.js';
import { IDLE } from '../../support/metrics.js';

const read = (path: string) =>
  readFileSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), 'utf8');

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
    for (const expr of expressions) {
      const [metric] = expr.match(METRIC)!;
      const series = exposed.split('\n').filter((line) => line.startsWith(`${metric}{`));
      const has = (label: string) => series.some((line) => line.includes(label));
      for (const label of groupedBy(expr)) expect(has(`${label}="`), `${label} of ${metric}`).toBe(true);
      for (const [, label, value] of expr.matchAll(/[{,](\w+)="(\w[^"]*)"/g)) {
        expect(has(`${label}="${value}"`), `${label}="${value}" of ${metric}`).toBe(true);
      }
    }
  });
});

const METRIC = /(?:openchamp|nodejs|process)_[a-z0-9_]+/g;

/** Labels by which an expression groups, but for those that Prometheus adds. */
function groupedBy(expr: string): string[] {
  return [...expr.matchAll(/\bby \(([^)]*)\)/g)]
    .flatMap(([, labels]) => labels!.split(', '))
    .filter((label) => !['instance', 'le'].includes(label));
}
