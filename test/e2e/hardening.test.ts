import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashToken } from '../../src/store/ids.js';
import { type Backend, FORMS, SINGLE } from '../support/backends.js';
import { connect, type TestClient } from '../support/client.js';
import { login, logout, register, tokenAuth, tokenOf } from '../support/conversation.js';
import {
  AUTH_REQUIRED,
  authError,
  authSuccess,
  LOGGED_OUT,
  registrationError,
  SERVICE_UNAVAILABLE,
  SOON,
} from '../support/expected.js';
import { type Account, Fleet, PASSWORD, storyOf } from '../support/fleet.js';
import { enter } from '../support/players.js';
import type { NodeProcess } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';

const BAD_TOKEN = authError('Invalid or expired token');
const ENDED_BY_ACCOUNT = { type: 'logged_out', payload: { reason: 'account' } };
const TAKEN_OVER = { code: 4001, reason: 'Session taken over by another connection' };

/** How long an answer may take while Redis is away, in ms. */
const PATIENCE_MS = 20_000;

describe.each(FORMS)('a logout with LOGOUT_REVOKES_TOKEN, and $name,', (form) => {
  let backend: Backend;
  let fleet: Fleet;
  let nodes: NodeProcess[];
  let accounts: Account[];

  beforeAll(async () => {
    backend = await form.start();
    const env = { LOGOUT_REVOKES_TOKEN: 'true', COMMIT_TIMEOUT_MS: '1000', LEASE_SECONDS: '30' };
    fleet = new Fleet({ PARTITIONS: '4', ...backend.env, ...env }, backend.client());
    nodes = await Promise.all([fleet.serve(), fleet.serve()]);
    accounts = await fleet.seed(20);
  });

  afterAll(async () => {
    await fleet?.stop();
    await backend?.stop();
  });

  const player = (node: number, account = accounts.pop()!, resume?: boolean) =>
    enter(nodes[node]!, account, resume);

  /** Expects that tokens are good for nothing on any node. */
  async function expectRevoked(...tokens: string[]): Promise<void> {
    for (const { wsUrl } of nodes) {
      const client = await connect(wsUrl);
      for (const token of tokens) {
        for (const resume of [false, true]) expect(await tokenAuth(client, token, resume)).toEqual(BAD_TOKEN);
      }
      await client.close();
    }
  }

  /** The revocations of a token. */
  async function revocationsOf({ token }: Account) {
    const hash = hashToken(token);
    return (await fleet.log()).filter(({ type, data }) => type === 'token.revoked' && data.token === hash);
  }

  async function storiesOf({ token }: Account): Promise<string[]> {
    return (await fleet.sessionsOf(token)).map(storyOf).sort();
  }

  async function expectCounting(client: TestClient): Promise<void> {
    expect(await client.request({ type: 'count' })).toMatchObject({ type: 'player_count' });
  }

  it('revokes the token of the session on all nodes, in the same commit, and no other token', async () => {
    const one = await player(0);
    const other = await connect(nodes[1]!.wsUrl);
    const otherToken = tokenOf(await login(other, one.username, PASSWORD));
    one.client.sendTogether([{ type: 'logout' }, { type: 'logout' }]);
    expect(await one.client.next()).toEqual(LOGGED_OUT);
    expect(await one.client.next()).toEqual(AUTH_REQUIRED);
    await expectRevoked(one.token);

    const [[revoked], [session]] = [await revocationsOf(one), await fleet.sessionsOf(one.token)];
    expect(revoked!.data).toEqual({ token: hashToken(one.token), reason: 'account' });
    expect(session!.at(-1)).toMatchObject({ type: 'session.logged_out', data: { by: 'client' } });
    expect(revoked!.id.split('-')[0]).toBe(session!.at(-1)!.id.split('-')[0]); // a script has one time

    await expectCounting(other);
    expect(await tokenAuth(one.client, otherToken)).toEqual(authSuccess(one.username, otherToken));
  });

  it('ends the other sessions of the token, here, elsewhere, and those that wait to be resumed', async () => {
    const one = await player(0);
    const twins = [await player(0, one), await player(1, one)];
    const gone = await player(1, one);
    await gone.client.close();
    await expect.poll(() => storiesOf(one), SOON).toContain('started detached:closed');
    const stranger = await connect(nodes[1]!.wsUrl);
    tokenOf(await login(stranger, one.username, PASSWORD)); // of the account, but with another token

    expect(await logout(one.client)).toEqual(LOGGED_OUT);
    for (const { client } of twins) {
      expect(await client.next()).toEqual(ENDED_BY_ACCOUNT);
      expect(await logout(client)).toEqual(AUTH_REQUIRED);
    }
    await expectCounting(stranger);
    await expectRevoked(one.token);
    expect(await storiesOf(one)).toEqual([
      'started detached:closed logged_out',
      ...Array(3).fill('started logged_out'),
    ]);
  });

  it('revokes once, however many sessions of the token log out at once', async () => {
    const one = await player(0);
    const all = [one, await player(1, one), await player(0, one), await player(1, one)];
    for (const { client } of all) client.send({ type: 'logout' });
    for (const { client } of all) {
      const first = await client.next();
      if (first.payload === undefined) expect(first).toEqual(LOGGED_OUT);
      else expect([first, await client.next()]).toEqual([ENDED_BY_ACCOUNT, AUTH_REQUIRED]);
    }
    expect(await revocationsOf(one)).toHaveLength(1);
    expect(await storiesOf(one)).toEqual(Array(4).fill('started logged_out'));
  });

  it('revokes nothing if it comes too late, and another connection has the session', async () => {
    const many = await Promise.all(Array.from({ length: 10 }, () => player(0)));
    nodes[0]!.kill('SIGSTOP');
    for (const { client } of many) client.send({ type: 'logout' });
    const successors = await Promise.all(many.map((one) => player(1, one, true)));
    nodes[0]!.kill('SIGCONT');
    for (const { client } of many) {
      expect(await client.closed).toEqual(TAKEN_OVER);
      expect([[], [AUTH_REQUIRED]]).toContainEqual(client.received.slice(1));
    }
    for (const one of successors) {
      expect(await revocationsOf(one)).toEqual([]);
      await expectCounting(one.client);
      expect(await logout(one.client)).toEqual(LOGGED_OUT);
      await expectRevoked(one.token);
    }
  });

  if (form === SINGLE) {
    it('that cannot be recorded in time revokes when it is', async () => {
      const one = await player(0);
      const twin = await player(1, one);
      await backend.server!.kill('SIGTERM');
      expect(await one.client.request({ type: 'logout' }, PATIENCE_MS)).toEqual(SERVICE_UNAVAILABLE);
      await expectCounting(twin.client);
      await backend.server!.start();
      expect(await twin.client.next(PATIENCE_MS)).toEqual(ENDED_BY_ACCOUNT);
      expect(await revocationsOf(one)).toHaveLength(1);
      expect(await storiesOf(one)).toEqual(Array(2).fill('started logged_out'));
    });

    it('that cannot be recorded at all keeps a node from ending as if it were', async () => {
      const node = await fleet.serve({ DRAIN_SECONDS: '0' });
      const { token } = await player(0).then(({ client, ...one }) => one);
      const client = await connect(node.wsUrl);
      await tokenAuth(client, token);
      await backend.server!.kill('SIGTERM');
      expect(await client.request({ type: 'logout' }, PATIENCE_MS)).toEqual(SERVICE_UNAVAILABLE);
      expect(await node.stop()).toEqual({ code: 3, signal: null });
      await backend.server!.start();
    });
  }

  it('has left a log that agrees with the records', async () => {
    await fleet.expectConsistent();
  });
});

describe('a registration with PASSWORD_MIN_LENGTH', () => {
  let redis: RedisServer;
  let fleet: Fleet;
  let node: NodeProcess;

  beforeAll(async () => {
    redis = await startRedis();
    fleet = new Fleet({ REDIS_URL: redis.url, PASSWORD_MIN_LENGTH: '12' }, redis.client());
    node = await fleet.serve();
  });

  afterAll(async () => {
    await fleet?.stop();
    await redis?.stop();
  });

  async function post(username: string, password: string): Promise<[number, string]> {
    const body = JSON.stringify({ username, password });
    const answer = await fetch(`${node.httpUrl}/register`, { method: 'POST', body });
    return [answer.status, await answer.text()];
  }

  it('needs so many characters, by WebSocket and over HTTP', async () => {
    const client = await connect(node.wsUrl);
    const text = 'Username must be at least 3 characters and password at least 12 characters';
    for (const short of ['x', 'secret1', 'x'.repeat(11), '😀'.repeat(11)]) {
      const refusal = registrationError('Password must be at least 12 characters');
      expect(await register(client, 'jane', short)).toEqual(refusal);
      expect(await post('jane', short)).toEqual([400, text]);
    }
    expect(await post('ja', 'x'.repeat(12))).toEqual([400, text]);
    expect((await register(client, 'jane', '😀'.repeat(12))).type).toBe('register_success');
    expect((await post('john', 'x'.repeat(12)))[0]).toBe(201);
    await client.close();
  });

  it('lets those log in who have a shorter one from before', async () => {
    const [account] = await fleet.seed(1);
    expect(PASSWORD.length).toBeLessThan(12);
    const client = await connect(node.wsUrl);
    expect((await login(client, account!.username, PASSWORD)).type).toBe('auth_success');
    expect(await login(client, account!.username, 'secret1')).toEqual(
      authError('Invalid username or password'),
    );
    expect(await login(client, account!.username, 'short')).toEqual(authError('Invalid login format'));
    await client.close();
  });
});
