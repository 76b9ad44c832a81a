import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const ROOT = new URL('../../../', import.meta.url);

/** Names of all test files, by their folder in `test/`. */
const FILES = new Map(
  ['abuse', 'e2e', 'faults', 'fuzz', 'integration'].map((folder) => [
    folder,
    readdirSync(new URL(`test/${folder}`, ROOT))
      .filter((file) => file.endsWith('.test.ts'))
      .map((file) => file.replace('.test.ts', '')),
  ]),
);

const ALL = [...FILES.values()].flat();

/** The names in the last cells of the rows of a section's table, marked as code. */
function namesIn(document: string, heading: string): string[] {
  const [, section] = readFileSync(new URL(document, ROOT), 'utf8').split(`\n## ${heading}\n`);
  const rows = [...section!.split('\n## ')[0]!.matchAll(/^\|.*\|$/gm)].slice(2);
  return rows.flatMap(([row]) => {
    const cell = row.split(' | ').at(-1)!;
    const names = [...cell.matchAll(/`([a-z][\w/]*)`/g)].map(([, name]) => name!); // settings are in capitals
    expect(names, row).not.toEqual([]);
    return names;
  });
}

describe('the tests that are named for', () => {
  it('each fault are there, and all that break something are named', () => {
    const named = namesIn('docs/reliability.md', 'Fault by fault');
    const missing = named.filter((name) => {
      const [, folder, file] = /^test\/(\w+)\/(\w+)$/.exec(name) ?? [];
      return folder ? !FILES.get(folder)?.includes(file!) : !ALL.includes(name);
    });
    expect(missing).toEqual([]);
    const others = ['mixed']; // all at once
    expect(FILES.get('faults')!.filter((name) => !named.includes(name))).toEqual(others);
  });

  it('each bound are there, and all that attack are named', () => {
    const named = namesIn('docs/security.md', 'What is bounded');
    expect(named.filter((name) => !ALL.includes(name))).toEqual([]);
    const others = ['secretsUnderLoad', 'timing']; // see below in the same document
    expect(FILES.get('abuse')!.filter((name) => !named.includes(name))).toEqual(others);
  });
});
