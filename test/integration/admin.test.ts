import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { createServer, type Server } from 'node:net';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createMetrics } from '../../src/admin/metrics.js';
import { type Admin, startAdmin } from '../../src/admin/server.js';
import { added, bucketsIn, ceiling } from '../../src/load/buckets.js';
import { connect } from '../support/client.js';
import { login, logout, tokenAuth } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { Fleet, PASSWORD } from '../support/fleet.js';
import { IDLE } from '../support/metrics.js';
import { onFreePorts } from '../support/ports.js';
import { runCli } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';

/** The value of a metric as it stands in the text, such as `openchamp_messages_total{type="login"}`. */
function valueIn(metrics: string, name: string): number {
  const line = metrics.split('\n').find((one) => one.startsWith(`${name} `));
  if (!line) throw new Error(`There is no ${name} in\n${metrics}`);
  return Number(line.slice(name.length + 1));
}

async function get(url: string): Promise<{ status: number; body: string }> {
  const response = await fetch(url);
  return { status: response.status, body: await response.text() };
}

async function listenOn(port: number): Promise<[Server, number]> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return [server, port];
}

describe('the operators’ port of a process', () => {
  let redis: RedisServer;
  let fleet: Fleet;

  beforeAll(async () => {
    redis = await startRedis({ appendonly: true });
    fleet = new Fleet({ REDIS_URL: redis.url }, redis.client());
  });
  afterAll(async () => {
    await fleet?.stop();
    await redis?.stop();
  });

  it('says that the process lives and is ready, and why it isn’t while Redis is away', async () => {
    const processes = await Promise.all([fleet.serve(), fleet.work()]);
    const urls = processes.map(({ adminUrl }) => adminUrl);
    const probe = (path: string) => Promise.all(urls.map((url) => get(`${url}${path}`)));
    const ok = { status: 200, body: 'ok' };
    await eventually(async () => expect(await probe('/readyz')).toEqual([ok, ok]));
    expect(await probe('/livez')).toEqual([ok, ok]);

    await redis.kill('SIGTERM');
    const away = { status: 503, body: 'Redis cannot be reached' };
    await eventually(async () => expect(await probe('/readyz')).toEqual([away, away]));
    expect(await probe('/livez')).toEqual([ok, ok]);

    await redis.start();
    await eventually(async () => expect(await probe('/readyz')).toEqual([ok, ok]), { timeoutMs: 30_000 });
  });

  it('shows what clients have done as metrics', async () => {
    const node = await fleet.serve();
    const metrics = async () => (await get(`${node.adminUrl}/metrics`)).body;
    const [one, two] = await fleet.seed(2);
    const [first, second, third] = await Promise.all([1, 2, 3].map(() => connect(node.wsUrl)));
    await tokenAuth(first!, one!.token);
    await logout(first!);
    await login(first!, one!.username, PASSWORD);
    await tokenAuth(second!, two!.token);
    await third!.request({ type: 'nonsense' });
    await third!.request({ type: 'login', payload: { username: one!.username, password: 'wrong-one' } });
    await third!.request('no JSON');
    await fetch(`${node.httpUrl}/register`, { method: 'POST', body: '{}' });

    await eventually(async () => {
      const text = await metrics();
      const values = Object.fromEntries(
        [
          'openchamp_connections',
          'openchamp_sessions{status="attached"}',
          'openchamp_messages_total{type="token_auth",result="ok"}',
          'openchamp_messages_total{type="login",result="ok"}',
          'openchamp_messages_total{type="login",result="refused"}',
          'openchamp_messages_total{type="logout",result="ok"}',
          'openchamp_messages_total{type="register",result="ok"}',
          'openchamp_messages_total{type="other",result="refused"}',
          'openchamp_messages_total{type="invalid",result="refused"}',
          'openchamp_messages_total{type="http_register",result="refused"}',
          'openchamp_message_duration_seconds_count{type="token_auth"}',
          'openchamp_message_duration_seconds_count{type="login"}',
          'openchamp_logouts_total{by="client"}',
          'openchamp_logouts_total{by="operator"}',
          'openchamp_detaches_total{reason="closed"}',
          'openchamp_detaches_total{reason="drained"}',
          'openchamp_session_events_total{type="session.started"}',
          'openchamp_session_events_total{type="session.logged_out"}',
          'openchamp_session_events_total{type="session.detached"}',
          'openchamp_password_hashings_waiting',
          'openchamp_commit_backlog_operations',
          'openchamp_commit_oldest_batch_seconds',
        ].map((name) => [name.replace(/^openchamp_/, ''), valueIn(text, name)]),
      );
      expect(values).toEqual({
        connections: 3,
        'sessions{status="attached"}': 2,
        'messages_total{type="token_auth",result="ok"}': 2,
        'messages_total{type="login",result="ok"}': 1,
        'messages_total{type="login",result="refused"}': 1,
        'messages_total{type="logout",result="ok"}': 1,
        'messages_total{type="register",result="ok"}': 0,
        'messages_total{type="other",result="refused"}': 1,
        'messages_total{type="invalid",result="refused"}': 1,
        'messages_total{type="http_register",result="refused"}': 1,
        'message_duration_seconds_count{type="token_auth"}': 2,
        'message_duration_seconds_count{type="login"}': 2,
        'logouts_total{by="client"}': 1,
        'logouts_total{by="operator"}': 0,
        'detaches_total{reason="closed"}': 0,
        'detaches_total{reason="drained"}': 0,
        'session_events_total{type="session.started"}': 3,
        'session_events_total{type="session.logged_out"}': 1,
        'session_events_total{type="session.detached"}': 0,
        password_hashings_waiting: 0,
        commit_backlog_operations: 0,
        commit_oldest_batch_seconds: 0,
      });
    });

    await Promise.all([first, second, third].map((client) => client!.close()));
    await eventually(async () => {
      const text = await metrics();
      expect(valueIn(text, 'openchamp_connections')).toBe(0);
      expect(valueIn(text, 'openchamp_sessions{status="attached"}')).toBe(0);
      expect(valueIn(text, 'openchamp_session_events_total{type="session.detached"}')).toBe(2);
      expect(valueIn(text, 'openchamp_detaches_total{reason="closed"}')).toBe(2);
    });
    const text = await metrics();
    expect(valueIn(text, 'openchamp_commit_duration_seconds_sum')).toBeGreaterThan(0);
    expect(valueIn(text, 'openchamp_commit_duration_seconds_count')).toBe(
      valueIn(text, 'openchamp_commit_batch_operations_count'),
    );
  });

  it('tells how late the event loop is: not at all sometimes, and all of a time in which it stood still', async () => {
    const node = await fleet.serve();
    const delays = async () =>
      bucketsIn((await get(`${node.adminUrl}/metrics`)).body, 'openchamp_event_loop_delay_seconds');
    const before = await delays();
    expect(before.get(0.005)).toBeGreaterThan(0);
    process.kill(node.pid, 'SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 600));
    process.kill(node.pid, 'SIGCONT');
    const during = added(before, await delays());
    expect(ceiling(during)).toBeGreaterThanOrEqual(0.5);
    expect(during.get(Infinity)! - during.get(0.25)!).toBeGreaterThan(50); // one each 5 ms of the time before the last 250
  });

  it.each(['serve', 'work'] as const)('makes `%s` end with one sentence if it is taken', async (command) => {
    const [taken, port] = await onFreePorts(1, ([free]) => listenOn(free!));
    try {
      const env = { ...fleet.env, HOST: '127.0.0.1', PORT: '0', ADMIN_PORT: `${port}` };
      const { code, stderr } = await runCli([command], env);
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: `Cannot listen on 127.0.0.1 port ${port}: it is taken, or not allowed; set ADMIN_PORT (or ADMIN_HOST) to another.\n`,
      });
    } finally {
      taken.close();
    }
  });
});

describe('the operators’ HTTP server', () => {
  const logger = pino({ level: 'silent' });
  let admin: Admin | undefined;
  let reason: string | null = null;

  afterEach(async () => {
    await admin?.close();
    admin = undefined;
    reason = null;
  });

  async function start(): Promise<string> {
    admin = await startAdmin({
      host: '127.0.0.1',
      port: 0,
      readiness: async () => reason,
      metrics: createMetrics(IDLE),
      api: null,
      logger,
    });
    return `http://127.0.0.1:${admin.port}`;
  }

  it.each([
    ['GET', '/livez', 200, 'ok'],
    ['HEAD', '/livez', 200, ''],
    ['GET', '/readyz', 200, 'ok'],
    ['POST', '/livez', 404, 'Not found'],
    ['GET', '/', 404, 'Not found'],
    ['GET', '/metrics/x', 404, 'Not found'],
    ['GET', '/%zz', 400, "'/%zz' is not a valid url component"],
  ])('answers %s %s with %i in plain text', async (method, path, status, body) => {
    const response = await fetch(`${await start()}${path}`, { method });
    expect({ status: response.status, body: await response.text() }).toEqual({ status, body });
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect([...response.headers.keys()].filter((name) => /server|powered|version/.test(name))).toEqual([]);
  });

  it('gives the reason why the process isn’t ready', async () => {
    const url = await start();
    reason = 'going away';
    expect(await get(`${url}/readyz`)).toEqual({ status: 503, body: 'going away' });
    expect(await get(`${url}/livez`)).toEqual({ status: 200, body: 'ok' });
  });

  it('closes with connections open that are kept alive', async () => {
    const url = await start();
    const agent = new Agent({ keepAlive: true });
    await new Promise<void>((resolve, reject) => {
      request(`${url}/livez`, { agent }, (response) => response.resume().once('end', resolve))
        .once('error', reject)
        .end();
    });
    await eventually(() => Object.keys(agent.freeSockets).length === 1);
    await admin!.close();
    await eventually(() => Object.keys(agent.freeSockets).length === 0);
    agent.destroy();
  });

  it('can’t be started at an address that isn’t there', async () => {
    const starting = startAdmin({
      host: '203.0.113.1',
      port: 0,
      readiness: async () => null,
      metrics: createMetrics(IDLE),
      api: null,
      logger,
    });
    await expect(starting).rejects.toThrow(/^Cannot listen on 203\.0\.113\.1 port 0: .* ADMIN_HOST/);
  });
});

describe('the metrics in docs/operations.md', () => {
  it('are those that are shown', async () => {
    const docs = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
    const documented = [...docs.matchAll(/^\| `(openchamp_\w+)` \| (\w+) \| \S/gm)].map(
      ([, name, type]) => `${name} ${type}`,
    );
    const text = await createMetrics(IDLE).text();
    const shown = [...text.matchAll(/^# TYPE (openchamp_\w+ \w+)$/gm)].map(([, metric]) => metric!);
    expect(documented.sort()).toEqual(shown.sort());
  });
});
