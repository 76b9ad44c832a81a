import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type TestClient } from '../support/client.js';
import { login, tokenAuth } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { AUTH_REQUIRED, authError } from '../support/expected.js';
import { type Account, Fleet, PASSWORD, storyOf } from '../support/fleet.js';
import type { NodeProcess } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';

const TOKEN = 'a token of sixteen letters or more';
const ENDED_BY_OPERATOR = { type: 'logged_out', payload: { reason: 'operator' } };
const BY = { by: 'jane' };
const BY_ACTOR = { actor: 'jane' };

interface Session {
  readonly session: string;
  readonly username: string;
  readonly status: string;
  readonly node: string;
}

interface Answer {
  readonly status: number;
  readonly body: {
    readonly error?: string;
    readonly paths: object;
    readonly nodes: readonly { readonly node: string }[];
    readonly sessions: readonly Session[];
    readonly events: readonly { readonly id: string }[];
    readonly next: string | null;
    readonly ended: readonly string[] | number;
    readonly revoked: number;
    readonly account: string;
    readonly tokens: readonly { readonly token: string; readonly lastUsedAt: string | null }[];
  };
}

describe('the operators’ API', () => {
  let redis: RedisServer;
  let fleet: Fleet;
  let nodes: NodeProcess[];
  let worker: NodeProcess;
  let accounts: Account[];

  beforeAll(async () => {
    redis = await startRedis({ appendonly: true });
    const env = { REDIS_URL: redis.url, PARTITIONS: '4', ADMIN_TOKEN: TOKEN, DRAIN_SECONDS: '1' };
    fleet = new Fleet(env, redis.client());
    [worker, ...nodes] = (await Promise.all([
      fleet.work(),
      fleet.serve({ NODE_ID: 'one' }),
      fleet.serve({ NODE_ID: 'two' }),
    ])) as [NodeProcess, ...NodeProcess[]];
    accounts = await fleet.seed(41);
  });
  afterAll(async () => {
    await fleet?.stop();
    await redis?.stop();
  });

  async function call(
    method: 'GET' | 'POST',
    path: string,
    { body, token = TOKEN, on = worker }: { body?: unknown; token?: string; on?: NodeProcess } = {},
  ): Promise<Answer> {
    const response = await fetch(`${on.adminUrl}/api${path}`, {
      method,
      headers: {
        ...(token && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Answer['body'] };
  }

  const get = (path: string) => call('GET', path);
  const post = (path: string, body: unknown = BY) => call('POST', path, { body });

  async function enter(node: number, { token }: Account): Promise<TestClient> {
    const client = await connect(nodes[node]!.wsUrl);
    expect(await tokenAuth(client, token)).toMatchObject({ type: 'auth_success' });
    return client;
  }

  async function sessionsOf({ username }: Account): Promise<Session[]> {
    return (await get(`/sessions?username=${username}`)).body.sessions as Session[];
  }

  async function nodeNames(): Promise<string[]> {
    const { body } = await get('/nodes');
    return (body.nodes as { node: string }[]).map(({ node }) => node);
  }

  it('is for those with the token only, and not there at all without ADMIN_TOKEN', async () => {
    for (const token of ['', 'another token of sixteen letters', TOKEN.slice(1)]) {
      for (const path of ['/nodes', '/sessions', '/openapi.json', '/nothing']) {
        const { status, body } = await call('GET', path, { token });
        expect([status, body]).toEqual([401, { error: 'The bearer token is missing or wrong.' }]);
      }
      expect((await call('POST', '/accounts/jane/disable', { token, body: BY })).status).toBe(401);
    }
    const [node] = nodes as [NodeProcess];
    for (const path of ['/livez', '/readyz', '/metrics']) {
      expect((await fetch(`${node.adminUrl}${path}`)).status).toBe(200);
    }
    const { ADMIN_TOKEN: _, ...env } = fleet.env;
    const tokenless = new Fleet(env, redis.client());
    const closed = await tokenless.serve({ NODE_ID: 'closed' });
    const response = await fetch(`${closed.adminUrl}/api/nodes`, {
      headers: { authorization: `Bearer ${TOKEN}` },
    });
    expect(response.status).toBe(404);
    closed.kill('SIGTERM');
    await closed.exited;
  });

  it('describes itself with an OpenAPI document', async () => {
    const { body } = await get('/openapi.json');
    expect(await new Validator().validate(body)).toMatchObject({ valid: true });
    expect(Object.keys(body.paths).sort()).toEqual([
      '/accounts/{username}',
      '/accounts/{username}/disable',
      '/accounts/{username}/enable',
      '/accounts/{username}/logout',
      '/accounts/{username}/revoke-tokens',
      '/nodes',
      '/nodes/{node}/drain',
      '/nodes/{node}/logout',
      '/sessions',
      '/sessions/{session}',
      '/sessions/{session}/events',
      '/sessions/{session}/logout',
    ]);
  });

  it('refuses what it can’t understand, with a reason', async () => {
    const [{ username }] = accounts as [Account];
    for (const body of [
      {},
      { by: '' },
      { by: null },
      { ...BY, also: 1 },
      { by: 'x'.repeat(101) },
      [],
      'jane',
    ]) {
      const answer = await post(`/accounts/${username}/logout`, body);
      expect([answer.status, typeof answer.body.error]).toEqual([400, 'string']);
    }
    for (const query of [
      'limit=0',
      'limit=1001',
      'limit=x',
      'status=gone',
      'cursor=x',
      'cursor=WzEsMl0',
      'x=1',
    ]) {
      const answer = await get(`/sessions?${query}`);
      expect([query, answer.status, typeof answer.body.error]).toEqual([query, 400, 'string']);
    }
    for (const path of ['/accounts/nobody', '/sessions/nothing', '/sessions/nothing/events', '/nothing']) {
      expect(await get(path)).toMatchObject({ status: 404, body: { error: expect.any(String) } });
    }
    for (const path of ['/accounts/nobody/disable', '/sessions/nothing/logout', '/nodes/nothing/drain']) {
      expect(await post(path)).toMatchObject({ status: 404, body: { error: expect.any(String) } });
    }
  });

  it('lists nodes and sessions, by page, user, node and status', async () => {
    const crowd = accounts.slice(0, 30);
    const clients = await Promise.all(crowd.map((account, i) => enter(i % 2, account)));
    await Promise.all(clients.slice(0, 6).map((client) => client.close()));
    await eventually(async () => {
      const { body } = await get('/sessions?status=detached&limit=1000');
      expect(body.sessions).toHaveLength(6);
    });

    const names = await nodeNames();
    expect(names.map((name) => name.slice(0, 3))).toEqual(['one', 'two']);
    await eventually(async () => {
      const { body } = await get('/nodes');
      expect(body.nodes).toMatchObject([
        { status: 'up', connections: 12, sessions: 12 },
        { status: 'up', connections: 12, sessions: 12 },
      ]);
    });

    for (const limit of [1, 7, 1000]) {
      const found: Session[] = [];
      let cursor: string | null = '';
      while (cursor !== null) {
        const { body } = await get(`/sessions?limit=${limit}${cursor && `&cursor=${cursor}`}`);
        found.push(...(body.sessions as Session[]));
        cursor = body.next as string | null;
      }
      expect(found.map(({ username }) => username).sort()).toEqual(crowd.map(({ username }) => username));
    }
    const onOne = (await get(`/sessions?node=${names[0]}`)).body.sessions as Session[];
    expect(onOne.map(({ username }) => username).sort()).toEqual(
      crowd.filter((_, i) => i >= 6 && i % 2 === 0).map(({ username }) => username),
    );
    expect((await get('/sessions?status=attached&limit=1000')).body.sessions).toHaveLength(24);

    const [session] = await sessionsOf(crowd[7]!);
    expect(session).toMatchObject({ username: crowd[7]!.username, status: 'attached', node: names[1] });
    expect((await get(`/sessions/${session!.session}`)).body).toEqual(session);
    const left = await sessionsOf(crowd[0]!);
    expect(left).toMatchObject([{ status: 'detached', reason: 'closed', node: names[0] }]);
    await Promise.all(clients.map((client) => client.close()));
  });

  it('ends a session, and has its history', async () => {
    const [account] = accounts.slice(31) as [Account];
    const clients = [await enter(0, account), await enter(1, account)];
    const [first, second] = (await sessionsOf(account)).sort((a, b) => a.node.localeCompare(b.node));
    expect(await post(`/sessions/${first!.session}/logout`)).toEqual({
      status: 200,
      body: { ended: [first!.session] },
    });
    expect(await clients[0]!.next()).toEqual(ENDED_BY_OPERATOR);
    expect(await clients[0]!.request({ type: 'logout' })).toEqual(AUTH_REQUIRED);
    expect(await sessionsOf(account)).toEqual([second]);
    expect((await post(`/sessions/${first!.session}/logout`)).status).toBe(404);

    const { body } = await get(`/sessions/${first!.session}/events`);
    expect(body).toMatchObject({
      events: [
        { type: 'session.started', subject: first!.session, subjectversion: 1 },
        { type: 'session.logged_out', data: { by: 'operator', actor: 'jane' } },
      ],
      next: null,
    });
    const [, last] = body.events as { id: string }[];
    const after = last!.id.split(':')[1];
    expect((await get(`/sessions/${first!.session}/events?after=${after}`)).body.events).toEqual([]);
  });

  it('ends all sessions of an account, revokes its tokens, disables and enables it', async () => {
    const [account] = accounts.slice(32) as [Account];
    const path = `/accounts/${account.username}`;
    const clients = [await enter(0, account), await enter(1, account)];
    expect((await post(`${path}/logout`)).body.ended).toHaveLength(2);
    for (const client of clients) {
      expect(await client.next()).toEqual(ENDED_BY_OPERATOR);
      expect(await tokenAuth(client, account.token)).toMatchObject({ type: 'auth_success' });
    }
    const { body } = await get(path);
    expect(body).toMatchObject({ status: 'registered', tokens: [{ lastUsedAt: expect.any(String) }] });

    const revoked = await post(`${path}/revoke-tokens`);
    expect([revoked.body.revoked, (revoked.body.ended as string[]).length]).toEqual([1, 2]);
    for (const client of clients) {
      expect(await client.next()).toEqual(ENDED_BY_OPERATOR);
      expect(await tokenAuth(client, account.token)).toEqual(authError('Invalid or expired token'));
      expect(await login(client, account.username, PASSWORD)).toMatchObject({ type: 'auth_success' });
    }

    expect((await post(`${path}/disable`)).body.ended).toHaveLength(2);
    for (const client of clients) {
      expect(await client.next()).toEqual(ENDED_BY_OPERATOR);
      expect(await login(client, account.username, PASSWORD)).toMatchObject({ type: 'auth_error' });
    }
    expect((await get(path)).body).toMatchObject({ status: 'disabled', tokens: [] });
    expect(await post(`${path}/enable`)).toEqual({ status: 200, body: {} });
    expect(await login(clients[0]!, account.username, PASSWORD)).toMatchObject({ type: 'auth_success' });

    const log = await fleet.log();
    for (const type of ['account.disabled', 'account.enabled']) {
      expect(log.find((entry) => entry.type === type)?.data).toEqual({ actor: 'jane' });
    }
  });

  it('shows when each token of an account was used last', async () => {
    const account = accounts[40]!;
    const path = `/accounts/${account.username}`;
    const lastUses = async () => (await get(path)).body.tokens.map(({ lastUsedAt }) => lastUsedAt);
    const [seconds] = await redis.client().time();
    expect(await lastUses()).toEqual([null]);

    // by a session that begins, on one node, and one that is resumed on the other
    const used: number[] = [];
    for (const node of [0, 1]) {
      const client = await enter(node, account);
      const [at] = await lastUses();
      used.push(Date.parse(at!));
      await client.close();
      await expect.poll(async () => (await sessionsOf(account))[0]?.status).toBe('detached');
    }
    expect(used[0]).toBeGreaterThanOrEqual(Number(seconds) * 1000);
    expect(used[1]).toBeGreaterThan(used[0]!);
    expect((await sessionsOf(account)).length).toBe(1);

    // a new one has not been used; the hash of each begins as in the log
    await login(await connect(nodes[0]!.wsUrl), account.username, PASSWORD);
    expect(await lastUses()).toEqual([new Date(used[1]!).toISOString(), null]);
    const { body } = await get(path);
    const issued = (await fleet.log()).filter(
      ({ type, subject }) => type === 'token.issued' && subject === body.account,
    );
    expect(body.tokens.map(({ token }) => token)).toEqual(
      issued.map(({ data }) => String(data.token).slice(0, 8)),
    );

    await post(`${path}/revoke-tokens`);
    expect((await get(path)).body.tokens).toEqual([]);
    for (const key of await redis.client().keys('*:used:*')) {
      const tokens = await redis.client().hkeys(key);
      for (const { data } of issued) expect(tokens).not.toContain(data.token);
    }
  });

  it('ends all sessions of a node', async () => {
    const crowd = accounts.slice(33, 38);
    const clients = await Promise.all(crowd.map((account) => enter(0, account)));
    const bystander = await enter(1, accounts[38]!);
    const [one] = await nodeNames();
    const { body } = await post(`/nodes/${one}/logout`);
    expect(body.ended).toBeGreaterThanOrEqual(crowd.length);
    for (const client of clients) expect(await client.next()).toEqual(ENDED_BY_OPERATOR);
    expect((await get(`/sessions?node=${one}`)).body.sessions).toEqual([]);
    expect(bystander.received).toHaveLength(1);
  });

  it('drains a node', async () => {
    const account = accounts[39]!;
    const client = await enter(1, account);
    const [, two] = await nodeNames();
    expect(await call('POST', `/nodes/${two}/drain`, { body: BY, on: nodes[0]! })).toMatchObject({
      status: 202,
    });
    expect((await client.closed).code).toBe(1012);
    expect(await nodes[1]!.exited).toEqual({ code: 0, signal: null });
    expect(await nodeNames()).not.toContain(two);

    const [events] = await fleet.sessionsOf(account.token);
    expect(storyOf(events!)).toBe('started detached:drained');
    expect(events!.at(-1)!.data).toEqual({ reason: 'drained', actor: 'jane' });
    const { stdout } = await fleet.cli('events', '--subject', two!);
    expect(JSON.parse(stdout)).toMatchObject({ type: 'node.drained', source: two, data: BY_ACTOR });
    const back = await enter(0, account);
    expect(await sessionsOf(account)).toMatchObject([{ status: 'attached' }]);
    await back.close();
    await fleet.untilNobodyIsAttached();
    await fleet.expectConsistent();
  });

  it('says so while Redis is away', async () => {
    await redis.kill('SIGKILL');
    const probes = [...nodes.slice(0, 1), worker];
    await eventually(async () => {
      for (const { adminUrl } of probes) expect((await fetch(`${adminUrl}/readyz`)).status).toBe(503);
    });
    expect(await post(`/accounts/${accounts[0]!.username}/logout`)).toMatchObject({
      status: 503,
      body: { error: expect.stringContaining('Redis') },
    });
  });
});
