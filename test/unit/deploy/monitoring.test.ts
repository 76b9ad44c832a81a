import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { createMetrics } from '../../../src/admin/metrics.js';

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
    const { registry } = createMetrics({
      connections: () => 0,
      sessions: () => 0,
      messages: () => new Map([['logout', 1]]),
      hashQueue: () => 0,
      backlog: () => 0,
      oldestBatchSeconds: () => 0,
    });
    const exposed = await registry.metrics();
    const expressions = [
      ...rules.groups.flatMap((group) => group.rules.map(({ expr }) => expr)),
      ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
    ];
    const names = expressions.flatMap((expr) => expr.match(/(?:openchamp|nodejs|process)_[a-z0-9_]+/g) ?? []);
    expect(names.length).toBeGreaterThan(15);
    for (const name of names) expect(exposed).toMatch(new RegExp(`^${name}[{ ]`, 'm'));
    for (const expr of expressions) {
      for (const [, label] of expr.matchAll(/\bby \((?:le, )?(type)\)/g)) {
        const [, metric] = /((?:openchamp)_[a-z_]+)/.exec(expr)!;
        expect(exposed).toMatch(new RegExp(`^${metric}\\{[^}]*${label}="`, 'm'));
      }
    }
  });
});
