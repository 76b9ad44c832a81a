import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { createMetrics } from '../../../src/admin/metrics.js';
import { IDLE } from '../../support/metrics.js';
import { ROOT, read } from './files.js';

/** What comes before it explains the metrics with the values of their labels. */
const [manual = '', runbook = ''] = read('docs/operations.md').split('\n## Runbook\n');

/** Each fault with what is quoted in each row of its table. */
const faults = runbook
  .split('\n### ')
  .slice(1)
  .map((section) => ({
    name: /\(`(\w+)`\)/.exec(section)?.[1],
    section,
    quoted: (row: string) => {
      const line = section.split('\n').find((one) => one.startsWith(`| ${row} |`));
      expect(line, `${row} in ${section.split('\n')[0]}`).toBeDefined();
      return [...line!.slice(row.length + 4).matchAll(/`([^`]+)`/g)].map(([, text]) => text!);
    },
  }));

/** All that the server is made of, as text. */
const source = readdirSync(`${ROOT}src`, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => read(`src/${path}`))
  .join('\n');

describe('the runbook', () => {
  it('has a section for each file of the fault tests', () => {
    const files = readdirSync(`${ROOT}test/faults`).filter((name) => name.endsWith('.test.ts'));
    expect(faults.map(({ name }) => name).toSorted()).toEqual(
      files.map((name) => name.replace('.test.ts', '')).toSorted(),
    );
  });

  it('says of each what is seen, what happens by itself, and what to do', () => {
    for (const { section } of faults) {
      for (const row of ['`/readyz`', 'log', 'metrics', 'alerts']) expect(section).toContain(`| ${row} |`);
      expect(section).toMatch(/\nBy itself: .*\sDo:\s/s);
    }
  });

  it('quotes what the server says', () => {
    const errors = ['OOM', 'MISCONF', 'CLUSTERDOWN', 'MOVED', 'TRYAGAIN', 'lost', 'WAIT_REPLICAS'];
    const said = faults.flatMap(({ quoted }) => [...quoted('`/readyz`'), ...quoted('log')]);
    expect(said.length).toBeGreaterThan(40);
    const unsaid = said.filter((text) => !errors.includes(text) && !source.includes(`'${text}'`));
    expect(unsaid).toEqual([]);
  });

  it('names metrics, values of their labels, and alerts that there are', async () => {
    const exposed = await createMetrics(IDLE).text();
    const { groups } = parse(read('monitoring/alerts.yaml')) as { groups: { rules: { alert: string }[] }[] };
    const alerts = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert));
    for (const { quoted } of faults) {
      const known = (text: string) =>
        text.startsWith('openchamp_') ? exposed.includes(`# TYPE ${text} `) : manual.includes(`\`${text}\``);
      expect(quoted('metrics').filter((text) => !known(text))).toEqual([]);
      expect(quoted('alerts').filter((alert) => !alerts.includes(alert))).toEqual([]);
    }
  });
});
