import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const SCRIPT = fileURLToPath(new URL('../../../scripts/generate-types.mjs', import.meta.url));

function generate(...args: string[]) {
  const { status, stderr } = spawnSync(process.execPath, [SCRIPT, ...args], { encoding: 'utf8' });
  return { status, stderr };
}

describe('the generated types', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'openchamp-types-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('are what the schemas say', () => {
    expect(generate('--check')).toEqual({ status: 0, stderr: '' });
  });

  it('are named by --check, and left alone, when they drifted', () => {
    const file = join(folder, 'server.generated.ts');
    generate('--out', folder);
    appendFileSync(file, '// edited\n');
    const edited = readFileSync(file, 'utf8');

    const { status, stderr } = generate('--check', '--out', folder);

    expect(status).toBe(1);
    expect(stderr).toMatch(/^\S*server\.generated\.ts differs from schemas\/; run `npm run generate`\.\n$/);
    expect(readFileSync(file, 'utf8')).toBe(edited);
  });

  it('count as drifted when they are missing', () => {
    const { status, stderr } = generate('--check', '--out', folder);
    expect(status).toBe(1);
    expect(stderr.trim().split('\n')).toHaveLength(4);
  });
});
