import { rm } from 'node:fs/promises';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { embeddedSocket } from '../../src/redis/embedded.js';
import { connect, type TestClient } from '../support/client.js';
import { login, logout, register, tokenAuth, tokenOf } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { expectSound, storiesOf } from '../support/fleet.js';
import { tempDir } from '../support/guardian.js';
import { readLog } from '../support/log.js';
import { type NodeProcess, runCli, startNode } from '../support/processes.js';

const PASSWORD = 'correct horse';

let dataDir: string;
let server: NodeProcess;

beforeEach(() => {
  dataDir = tempDir();
});

afterEach(async () => {
  if (server) await server.stop();
  await rm(dataDir, { recursive: true, force: true });
});

it.each([
  ['a stop', 'SIGTERM', { code: 0, signal: null }, 'started detached:drained resumed logged_out'],
  [
    'a sudden death',
    'SIGKILL',
    { code: null, signal: 'SIGKILL' },
    'started detached:taken_over resumed logged_out',
  ],
] as const)(
  'the server on its own keeps accounts, tokens and sessions over %s',
  async (_, signal, exit, story) => {
    await start();
    const jane = await connect(server.wsUrl);
    const token = tokenOf(await register(jane, 'jane', PASSWORD));
    const redisPid = await embeddedPid();

    server.kill(signal);
    expect(await server.exited).toEqual(exit);
    await eventually(() => !isRunning(redisPid), { message: 'the embedded Redis is gone' });
    expect((await jane.closed).code).toBe(signal === 'SIGTERM' ? 1012 : 1006);

    await start();
    const again = await connect(server.wsUrl);
    expect(await tokenAuth(again, token, true)).toMatchObject({ type: 'auth_success' });
    await expectLogout(again);
    expect(await register(again, 'jane', PASSWORD)).toMatchObject({
      type: 'error',
      payload: { message: 'Username already exists' },
    });
    expect(await login(again, 'jane', PASSWORD)).toMatchObject({ type: 'auth_success' });
    await expectLogout(again);

    const redis = new Redis(embeddedSocket(dataDir)!);
    const log = await readLog(redis, { prefix: 'oc:', partitions: 1 });
    redis.disconnect();
    expectSound(log);
    expect(storiesOf(log)).toEqual({ [story]: 1, 'started logged_out': 1 });
    expect(await runCli(['verify'], { DATA_DIR: dataDir })).toMatchObject({ code: 0 });
  },
);

async function start(): Promise<void> {
  server = await startNode({ command: 'start', env: { DATA_DIR: dataDir, DRAIN_SECONDS: '1' } });
}

async function expectLogout(client: TestClient): Promise<void> {
  expect(await logout(client)).toEqual({ type: 'logged_out' });
}

async function embeddedPid(): Promise<number> {
  const redis = new Redis(embeddedSocket(dataDir)!);
  const pid = /process_id:(\d+)/.exec(await redis.info('server'))?.[1];
  redis.disconnect();
  return Number(pid);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
