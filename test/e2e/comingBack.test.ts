import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type TestClient } from '../support/client.js';
import { login, logout, tokenAuth } from '../support/conversation.js';
import { authError, authSuccess } from '../support/expected.js';
import { type Account, Fleet, PASSWORD, storyOf } from '../support/fleet.js';
import type { NodeProcess } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';

/** A node remembers tokens whose sessions have ended on it; what has happened to them elsewhere meanwhile counts all the same. */
describe('a token that comes back to the node where its session has ended', () => {
  let redis: RedisServer;
  let fleet: Fleet;
  let nodes: NodeProcess[];
  let accounts: Account[];

  beforeAll(async () => {
    redis = await startRedis({ appendonly: true });
    fleet = new Fleet({ REDIS_URL: redis.url }, redis.client());
    nodes = await Promise.all([fleet.serve(), fleet.serve()]);
    accounts = await fleet.seed(4);
  });
  afterAll(async () => {
    await fleet?.stop();
    await redis?.stop();
  });

  async function enter(node: number, { username, token }: Account): Promise<TestClient> {
    const client = await connect(nodes[node]!.wsUrl);
    expect(await tokenAuth(client, token)).toEqual(authSuccess(username, token));
    return client;
  }

  /** Begins a session on the first node and ends it; gives the connection. */
  async function leftBy(account: Account): Promise<TestClient> {
    const client = await enter(0, account);
    expect(await logout(client)).toEqual({ type: 'logged_out' });
    return client;
  }

  it('begins a new session, again and again', async () => {
    const account = accounts.pop()!;
    const client = await leftBy(account);
    for (let round = 0; round < 2; round += 1) {
      expect(await tokenAuth(client, account.token)).toEqual(authSuccess(account.username, account.token));
      expect(await logout(client)).toEqual({ type: 'logged_out' });
    }
    expect((await fleet.sessionsOf(account.token)).map(storyOf)).toEqual(Array(3).fill('started logged_out'));
  });

  it('resumes the session that it has had on another node since', async () => {
    const account = accounts.pop()!;
    const client = await leftBy(account);
    await (await enter(1, account)).close();
    await expect
      .poll(async () => (await fleet.sessionsOf(account.token)).map(storyOf))
      .toEqual(['started logged_out', 'started detached:closed']);
    expect(await tokenAuth(client, account.token)).toEqual(authSuccess(account.username, account.token));
    expect((await fleet.sessionsOf(account.token)).map(storyOf)).toEqual([
      'started logged_out',
      'started detached:closed resumed',
    ]);
  });

  it('is refused once it is revoked', async () => {
    const account = accounts.pop()!;
    const client = await leftBy(account);
    const other = await connect(nodes[1]!.wsUrl);
    await login(other, account.username, PASSWORD);
    expect(await other.request({ type: 'logout_all' })).toEqual({ type: 'logged_out' });
    expect(await tokenAuth(client, account.token)).toEqual(authError('Invalid or expired token'));
    expect((await fleet.sessionsOf(account.token)).map(storyOf)).toEqual(['started logged_out']);
  });

  it('is told when its account is disabled', async () => {
    const account = accounts.pop()!;
    const client = await leftBy(account);
    expect(await fleet.cli('disable', account.username)).toMatchObject({ code: 0 });
    expect(await tokenAuth(client, account.token)).toEqual(authError('Account disabled'));
  });
});
