import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { eventually } from '../../support/eventually.js';
import { tempDir } from '../../support/guardian.js';

/** Starts two children, one of them stopped, waits for the end of a third, and tells their pids and its directory. */
const PARENT = `
  import { spawnGuarded, tempDir } from './guardian.mjs';
  const dir = tempDir();
  const [first, second] = [1, 2].map(() => spawnGuarded('sleep', ['600'], { stdio: 'ignore' }));
  second.kill('SIGSTOP');
  spawnGuarded('true', [], { stdio: 'ignore' }).once('exit', () => {
    console.log(JSON.stringify({ pids: [first.pid, second.pid], dir }));
  });
`;

test('children and temporary directories are gone after the process that made them is killed', async () => {
  const dir = tempDir();
  const source = readFileSync(new URL('../../support/guardian.ts', import.meta.url), 'utf8');
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
  });
  writeFileSync(join(dir, 'guardian.mjs'), outputText);
  writeFileSync(join(dir, 'parent.mjs'), PARENT);
  const parent = spawn(process.execPath, [join(dir, 'parent.mjs')], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(parent.stdout, 'data');
  const told = JSON.parse(String(line)) as { pids: number[]; dir: string };
  expect(told.pids.map(isAlive)).toEqual([true, true]);
  expect(existsSync(told.dir)).toBe(true);

  parent.kill('SIGKILL');
  await eventually(() => !told.pids.some(isAlive) && !existsSync(told.dir), { message: 'all is cleaned up' });
});

/** Whether a process runs; one that has ended and that nobody has asked for yet (a zombie) doesn't. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
