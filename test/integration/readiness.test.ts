import { afterEach, describe, expect, it } from 'vitest';
import { connect } from '../support/client.js';
import { CliProcess } from '../support/cliProcess.js';
import { tokenAuth } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { Fleet } from '../support/fleet.js';
import { onFreePorts } from '../support/ports.js';
import { type RedisServer, startRedis, startRedisOn } from '../support/redis.js';

/** Processes may be slow to start beside many others. */
const PATIENCE = { timeoutMs: 30_000, intervalMs: 50 };

const ADMIN_TOKEN = 'a token of sixteen letters or more';

const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

async function redisServer(): Promise<RedisServer> {
  const redis = await startRedis({ appendonly: true });
  cleanups.push(() => redis.stop());
  return redis;
}

function fleetOn(redis: RedisServer, env = {}): Fleet {
  const fleet = new Fleet({ REDIS_URL: redis.url, ADMIN_TOKEN, ...env }, redis.client());
  cleanups.push(() => fleet.stop());
  return fleet;
}

async function probe(adminUrl: string, path: string): Promise<string> {
  const response = await fetch(`${adminUrl}${path}`);
  return `${response.status} ${await response.text()}`;
}

describe('a node that starts before Redis', () => {
  it.each(['serve', 'work'])('lives, is not ready, and goes on when Redis is there (%s)', async (command) => {
    const [redisPort, adminPort] = await onFreePorts(2, async (ports) => ports);
    const cli = new CliProcess([command], {
      HOST: '127.0.0.1',
      PORT: '0',
      ADMIN_PORT: `${adminPort}`,
      ADMIN_TOKEN,
      LOG_LEVEL: 'info',
      REDIS_URL: `redis://127.0.0.1:${redisPort}`,
      REDIS_WAIT_SECONDS: '0',
    });
    cleanups.push(() => cli.kill());
    const url = `http://127.0.0.1:${adminPort}`;
    await eventually(async () => expect(await probe(url, '/livez')).toBe('200 ok'), PATIENCE);
    expect(await probe(url, '/readyz')).toBe('503 Redis has not been reached yet');
    expect(await probe(url, '/metrics')).toMatch(/^openchamp_redis_up 0$/m);
    const { status } = await fetch(`${url}/api/nodes`, {
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    });
    expect(status).toBe(503);

    const redis = await startRedisOn(redisPort!, { appendonly: true });
    cleanups.push(() => redis.stop());
    await eventually(async () => expect(await probe(url, '/readyz')).toBe('200 ok'), PATIENCE);
  });

  it('ends in order when it is told to while it waits, and with one sentence when it has waited enough', async () => {
    const [redisPort] = await onFreePorts(1, async (ports) => ports);
    const env = {
      HOST: '127.0.0.1',
      PORT: '0',
      ADMIN_PORT: '0',
      REDIS_URL: `redis://127.0.0.1:${redisPort}`,
    };
    const told = new CliProcess(['serve'], { ...env, LOG_LEVEL: 'info' });
    await told.logLine(({ msg }) => msg === 'redis connection failed', PATIENCE.timeoutMs);
    told.kill('SIGTERM');
    expect(await told.exited).toEqual({ code: 0, signal: null });

    const tired = new CliProcess(['work'], { ...env, REDIS_WAIT_SECONDS: '1', LOG_LEVEL: 'silent' });
    expect(await tired.exited).toEqual({ code: 1, signal: null });
    expect(tired.stderr).toMatch(/^Redis could not be reached within 1 s: .*\n$/);
  });
});

describe('a gateway', () => {
  it('is not ready as long as it hears nothing on the bus, not even itself', async () => {
    const redis = await redisServer();
    const client = redis.client();
    await client.call('ACL', 'SETUSER', 'game', 'on', '>secret', '~*', '&*', '+@all', '-publish');
    const fleet = fleetOn(redis, { REDIS_USERNAME: 'game', REDIS_PASSWORD: 'secret' });
    const node = await fleet.serve();
    await node.logLine(({ msg }) => msg === 'bus subscription has gone deaf', PATIENCE.timeoutMs);
    for (let look = 0; look < 20; look += 1) {
      expect(await probe(node.adminUrl, '/readyz')).toBe('503 nothing is heard on the bus');
    }
    await client.call('ACL', 'SETUSER', 'game', '+publish');
    await eventually(async () => expect(await probe(node.adminUrl, '/readyz')).toBe('200 ok'), PATIENCE);
  });
});

describe('an operator', () => {
  it('is told when nothing is recorded, and what was begun comes to its end later', async () => {
    const redis = await redisServer();
    const fleet = fleetOn(redis, { COMMIT_TIMEOUT_MS: '500' });
    const [node, strict] = await Promise.all([fleet.serve(), fleet.serve({ WAIT_REPLICAS: '1' })]);
    const [account] = await fleet.seed(1);
    const client = await connect(node.wsUrl);
    cleanups.push(() => client.close());
    await tokenAuth(client, account!.token);

    const answer = await fetch(`${strict.adminUrl}/api/accounts/${account!.username}/disable`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify({ by: 'jane' }),
    });
    expect(answer.status).toBe(503);

    const told = await fleet.cli('logout', 'nobody-by-this-name');
    expect(told).toMatchObject({ code: 1, stderr: expect.stringContaining('There is no account') });

    const replica = await startRedis({ args: ['--replicaof', `127.0.0.1 ${redis.port}`] });
    cleanups.push(() => replica.stop());
    expect(await client.next(30_000)).toEqual({
      type: 'logged_out',
      payload: { reason: 'operator' },
    });
  });

  it('is told so on the command line, too', async () => {
    const redis = await redisServer();
    const fleet = fleetOn(redis, { COMMIT_TIMEOUT_MS: '500', WAIT_REPLICAS: '1' });
    const username = (await new Fleet({ ...fleet.env, WAIT_REPLICAS: '0' }, redis.client()).seed(1))[0]!
      .username;
    expect(await fleet.cli('disable', username)).toMatchObject({
      code: 1,
      stderr: 'Redis is away, or records nothing now; it may or may not have been done.\n',
    });
  });
});
