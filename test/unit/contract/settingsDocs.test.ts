import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

describe('the settings in docs/operations.md', () => {
  it('are those of the schema, with their defaults', () => {
    const { properties } = JSON.parse(read('schemas/config.json')) as {
      properties: Record<string, { default?: unknown }>;
    };
    const documented = [...read('docs/operations.md').matchAll(/^\| `([A-Z_]+)` \| (\S+) \| \S/gm)].map(
      ([, name, value]) => [name, value] as const,
    );
    const expected = Object.entries(properties).map(([name, { default: value }]) => [
      name,
      value === undefined ? '–' : `\`${value}\``,
    ]);
    expect(documented.toSorted()).toEqual(expected.toSorted());
  });
});
