import { spawnSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../support/client.js';
import { logout } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { AUTH_REQUIRED, LOGGED_OUT } from '../support/expected.js';
import { Fleet } from '../support/fleet.js';
import { tempDir } from '../support/guardian.js';
import { onFreePorts } from '../support/ports.js';
import { runCli, startNode } from '../support/processes.js';
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

describe('a machine', () => {
  const preloading = (code: string) => ({
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}`,
  });

  it('with an older Node.js is told so in one sentence', async () => {
    const versions = '{ ...process.versions, node: "20.11.1" }';
    const code = `Object.defineProperty(process, "versions", { value: ${versions} })`;
    expect(await runCli(['--help'], preloading(code))).toEqual({
      code: 1,
      stdout: '',
      stderr: 'This needs Node.js 20.12 or later, and this is 20.11.1.\n',
    });
  });

  it('that uWebSockets.js cannot be loaded on is told so in one sentence', async () => {
    const hook =
      'export function resolve(name, context, next) { if (name === "uWebSockets.js") throw new Error("no binary"); return next(name, context); }';
    const code = `import { register } from "node:module"; register("data:text/javascript,${encodeURIComponent(hook)}");`;
    const redis = await startRedis();
    const env = { REDIS_URL: redis.url, PORT: '0', ADMIN_PORT: '0', LOG_LEVEL: 'silent' };
    const { code: exitCode, stderr } = await runCli(['serve'], { ...env, ...preloading(code) });
    await redis.stop();
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(ONE_LINE);
    expect(stderr).toMatch(/^uWebSockets\.js cannot be loaded on this machine \(Node\.js /);
  });

  it('with nothing set up starts everything, and says how to try it: that works', async () => {
    const dir = tempDir();
    const server = await startNode({ command: 'start', env: { DATA_DIR: dir, DRAIN_SECONDS: '0' } });
    try {
      const command = await eventually(() => /^ {4}(node -e '[^']*')$/m.exec(server.stdout)?.[1] ?? false);
      const { stdout, stderr } = spawnSync('sh', ['-c', String(command)], { encoding: 'utf8' });
      expect([
        stdout
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line)),
        stderr,
      ]).toEqual([[expect.objectContaining({ type: 'register_success' }), LOGGED_OUT], '']);
    } finally {
      await server.stop();
      await rm(dir, { recursive: true });
    }
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
