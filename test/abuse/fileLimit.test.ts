import { execFileSync } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../support/client.js';
import { logout } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { AUTH_REQUIRED } from '../support/expected.js';
import { Siege } from './harness/siege.js';

/** What the node may still open. */
const SPARE = 100;

describe('more connections than the node may open files', () => {
  let siege: Siege;

  beforeAll(async () => {
    siege = await Siege.begin();
  });

  afterAll(() => siege?.stop());

  const openFiles = async () => (await readdir(`/proc/${siege.node.pid}/fd`)).length;

  it('wait, while those that are connected are served, and come in when there is room', async () => {
    const limit = (await openFiles()) + SPARE;
    execFileSync('prlimit', ['--pid', `${siege.node.pid}`, `--nofile=${limit}`]);
    const crowd: ReturnType<typeof createConnection>[] = [];
    await siege.during({ grownMb: 30, slowdown: 20 }, async () => {
      for (let i = 0; i < 3 * SPARE; i += 1) {
        crowd.push(createConnection({ port: siege.node.port, host: '127.0.0.1' }).on('error', () => {}));
      }
      await eventually(async () => expect(await openFiles()).toBeGreaterThanOrEqual(limit));
      await new Promise((resolve) => setTimeout(resolve, 2000)); // which they are to be served in
      for (const socket of crowd) socket.destroy();
    });
    await eventually(async () => {
      const client = await connect(siege.node.wsUrl);
      expect(await logout(client)).toEqual(AUTH_REQUIRED);
      await client.close();
    });
    expect(siege.node.logs.filter(({ level }) => Number(level) >= 50)).toEqual([]);
  });
});
