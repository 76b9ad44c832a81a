import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../../support/eventually.js';
import { tempDir } from '../../support/guardian.js';
import { runCli, startNode } from '../../support/processes.js';

/** A stand-in for the server that shows what it was given. */
const SERVER = `
  const [command] = process.argv.slice(2);
  console.log('no JSON');
  console.log(JSON.stringify({ msg: 'environment', ...process.env }));
  process.on('SIGTERM', () => {
    process.stdout.write('{"msg":"stopped"}');
    process.stdout.write('\\n', () => process.exit(3));
  });
  setInterval(() => {}, 1000);
  if (command === 'work') console.log(JSON.stringify({ msg: 'worker started', adminPort: 2 }));
  else console.log(JSON.stringify({ msg: 'listening', port: 1, adminPort: 2 }));
`;

function script(text: string): string {
  const path = join(tempDir(), 'script.mjs');
  writeFileSync(path, text);
  return path;
}

test('starts a node with a clean environment and reads its ports and its log', async () => {
  const node = await startNode({ command: 'serve', env: { LOG_LEVEL: 'debug' }, script: script(SERVER) });
  expect(node.wsUrl).toBe('ws://127.0.0.1:1/ws');
  expect(node.httpUrl).toBe('http://127.0.0.1:1');
  expect(node.adminUrl).toBe('http://127.0.0.1:2');
  expect(node.logs[0]).toEqual({
    msg: 'environment',
    PATH: process.env.PATH,
    HOME: process.env.HOME,
    HOST: '127.0.0.1',
    PORT: '0',
    ADMIN_PORT: '0',
    LOG_LEVEL: 'debug',
  });
  expect(await node.stop()).toEqual({ code: 3, signal: null });
  expect(node.logs.at(-1)).toEqual({ msg: 'stopped' });
  expect(await node.stop()).toEqual({ code: 3, signal: null });
});

test('starts a worker, which has no port for clients, and kills it', async () => {
  const worker = await startNode({ command: 'work', env: {}, script: script(SERVER) });
  expect(worker.adminUrl).toBe('http://127.0.0.1:2');
  expect(() => worker.wsUrl).toThrow('no port');
  worker.kill('SIGKILL');
  expect(await worker.exited).toEqual({ code: null, signal: 'SIGKILL' });
  await eventually(() => expect(() => process.kill(worker.pid, 0)).toThrow());
});

test('rejects with exit code and stderr when a process ends before it is ready', async () => {
  const broken = script(`console.error('PORT must be a number'); process.exitCode = 2;`);
  const start = startNode({ command: 'serve', env: {}, script: broken });
  await expect(start).rejects.toThrow(/exited with 2[\s\S]*PORT must be a number/);
});

test('runs a command to its end', async () => {
  const echo = script(
    `console.log(process.argv[2], process.env.A); console.error('e'); process.exitCode = 4;`,
  );
  const result = await runCli(['events'], { A: 'a' }, { script: echo });
  expect(result).toEqual({ code: 4, stdout: 'events a\n', stderr: 'e\n' });
});

test('kills a command that does not end', async () => {
  const endless = script('setInterval(() => {}, 1000)');
  const run = runCli(['events'], {}, { script: endless, timeoutMs: 200 });
  await expect(run).rejects.toThrow('openchamp events did not end within 200 ms');
});
