import { createServer, type Server } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../support/client.js';
import { logout } from '../support/conversation.js';
import { AUTH_REQUIRED } from '../support/expected.js';
import { Fleet } from '../support/fleet.js';
import { onFreePorts } from '../support/ports.js';
import { runCli } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';

const ONE_LINE = /^[^\n]+\n$/;

describe('a node that starts', () => {
  let redis: RedisServer;
  let fleet: Fleet;
  let taken: Server;
  let port: number;

  beforeAll(async () => {
    redis = await startRedis();
    fleet = new Fleet({ REDIS_URL: redis.url }, redis.client());
    [taken, port] = await onFreePorts(1, ([free]) => listenOn(free!));
  });

  afterAll(async () => {
    await fleet?.stop();
    await redis?.stop();
    taken?.close();
  });

  const serve = (env: Record<string, string>) =>
    runCli(['serve'], { ...fleet.env, HOST: '127.0.0.1', PORT: '0', ADMIN_PORT: '0', ...env });

  it('says in one sentence that its port is taken, and exits with 1', async () => {
    const { code, stderr } = await serve({ PORT: `${port}` });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `Cannot listen on 127.0.0.1 port ${port}: it is taken, or not allowed; set PORT (or HOST) to another.\n`,
    });
  });

  it('says so if it is another node that has it, which is not disturbed', async () => {
    const node = await fleet.serve();
    const { code, stderr } = await serve({ PORT: `${node.port}` });
    expect(code).toBe(1);
    expect(stderr).toMatch(ONE_LINE);
    expect(stderr).toContain(`port ${node.port}`);
    for (let i = 0; i < 10; i += 1) {
      const client = await connect(node.wsUrl);
      expect(await logout(client)).toEqual(AUTH_REQUIRED);
      await client.close();
    }
  });

  it.each([
    ['PORT', 'eighty'],
    ['PORT', '65536'],
    ['IDLE_SECONDS', '5'],
    ['PARTITIONS', '3'],
    ['LOGIN_ATTEMPTS', '-1'],
    ['OC_EMAIL_VALIDATION', 'yes'],
    ['TRUSTED_PROXIES', 'my-proxy'],
    ['ALLOWED_ORIGINS', 'play.example.com'],
    ['MAX_MESSAGE_BYTES', '1e6'],
    ['KEY_PREFIX', '{x}:'],
    ['REDIS_URL', 'http://localhost'],
  ])('says in one line that %s=%s is bad, and exits with 2', async (name, value) => {
    const { code, stdout, stderr } = await serve({ [name]: value });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(ONE_LINE);
    expect(stderr.startsWith(`${name} `)).toBe(true);
  });
});

describe('a node', () => {
  let redis: RedisServer;

  afterEach(() => redis?.stop());

  it('refuses a Redis that would evict keys, in one sentence', async () => {
    redis = await startRedis({ args: ['--maxmemory-policy', 'allkeys-lru'] });
    const { code, stderr } = await runCli(['serve'], { REDIS_URL: redis.url, PORT: '0', ADMIN_PORT: '0' });
    expect(code).toBe(1);
    expect(stderr).toMatch(ONE_LINE);
    expect(stderr).toContain('maxmemory-policy allkeys-lru');
  });

  it('refuses a user of Redis who may not do all that a commit does, and says what is missing', async () => {
    redis = await startRedis();
    await redis
      .client()
      .call('ACL', 'SETUSER', 'clerk', 'on', '>secret', '~*', '&*', '+@all', '-srem', '-xadd');
    const user = { REDIS_USERNAME: 'clerk', REDIS_PASSWORD: 'secret' };
    const { code, stderr } = await runCli(['work'], { REDIS_URL: redis.url, ADMIN_PORT: '0', ...user });
    expect(code).toBe(1);
    expect(stderr).toMatch(ONE_LINE);
    expect(stderr).toContain('no right to SREM, XADD:');
    expect(await redis.client().keys('*probe*')).toEqual([]);
  });

  it.each([
    [true, 0],
    [false, 1],
  ])('warns of a Redis without an append-only file (appendonly: %s)', async (appendonly, warnings) => {
    redis = await startRedis({ appendonly });
    const fleet = new Fleet({ REDIS_URL: redis.url }, redis.client());
    const node = await fleet.serve();
    expect(node.stdout.split('appendonly').length - 1).toBe(warnings);
    await fleet.stop();
  });
});

async function listenOn(port: number): Promise<[Server, number]> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return [server, port];
}
