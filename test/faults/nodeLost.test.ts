import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connect, type TestClient } from '../support/client.js';
import { logout, tokenAuth } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { type Account, Fleet, storiesOf } from '../support/fleet.js';
import { countByType } from '../support/log.js';
import type { NodeProcess } from '../support/processes.js';
import { startProxy } from '../support/proxy.js';
import { type RedisServer, startRedis } from '../support/redis.js';

/** What the server promises: so long after the death of a node at most, its sessions are detached. */
const DETACHED_WITHIN_MS = 20_000;

describe('when a node is lost', () => {
  let redis: RedisServer;
  let fleet: Fleet;

  beforeEach(async () => {
    redis = await startRedis();
  });

  afterEach(async () => {
    await fleet?.stop();
    await redis?.stop();
  });

  const isDetached = (count: number) => async () =>
    countByType(await fleet.log())['session.detached'] === count;

  it('detaches its 1,000 sessions within 20 s; they are resumed elsewhere, or expire', async () => {
    fleet = new Fleet({ REDIS_URL: redis.url, RESUME_SECONDS: '6' }, redis.client());
    const [a, b, accounts] = await Promise.all([
      fleet.serve(),
      fleet.serve(),
      fleet.seed(1000),
      fleet.work(),
    ]);
    await authenticateAll(a, accounts);

    a.kill('SIGKILL');
    await eventually(isDetached(1000), { timeoutMs: DETACHED_WITHIN_MS, intervalMs: 100 });
    const resumed = await authenticateAll(b, accounts.slice(0, 500));
    const hasExpired = async () => countByType(await fleet.log())['session.expired'] === 500;
    await eventually(hasExpired, { timeoutMs: 20_000, intervalMs: 100 });
    for (const client of resumed.slice(0, 10)) expect(await logout(client)).toEqual({ type: 'logged_out' });

    expect(storiesOf(await fleet.expectConsistent())).toEqual({
      'started detached:node_lost resumed': 490,
      'started detached:node_lost resumed logged_out': 10,
      'started detached:node_lost expired': 500,
    });
  });

  it('lets its sessions be resumed as soon as its lease has run out, also without a worker', async () => {
    fleet = new Fleet({ REDIS_URL: redis.url, LEASE_SECONDS: '2' }, redis.client());
    const [a, b, accounts] = await Promise.all([fleet.serve(), fleet.serve(), fleet.seed(50)]);
    const startedAt = performance.now();
    await authenticateAll(a, accounts);
    a.kill('SIGKILL');
    const [{ node: lost } = { node: '' }] = (await fleet.log()).filter(
      ({ type }) => type === 'session.started',
    );
    const lease = `${fleet.env.KEY_PREFIX}{nodes}:lease:${lost}`;
    await eventually(async () => (await fleet.redis.exists(lease)) === 0);
    await eventually(() => performance.now() > startedAt + 4000); // b must have seen Redis up for a whole lease
    await authenticateAll(b, accounts);
    expect(storiesOf(await fleet.expectConsistent())).toEqual({ 'started detached:node_lost resumed': 50 });
  });

  it('lets its sessions be taken over at once', async () => {
    fleet = new Fleet({ REDIS_URL: redis.url, LEASE_SECONDS: '60' }, redis.client());
    const [a, b, accounts] = await Promise.all([fleet.serve(), fleet.serve(), fleet.seed(50)]);
    await authenticateAll(a, accounts);
    a.kill('SIGKILL');
    await a.exited;
    await authenticateAll(b, accounts, true);
    expect(storiesOf(await fleet.expectConsistent())).toEqual({ 'started detached:taken_over resumed': 50 });
  });

  it('together with the worker that reaps, another worker takes over, still within 20 s', async () => {
    fleet = new Fleet({ REDIS_URL: redis.url }, redis.client());
    const [node, accounts, ...workers] = await Promise.all([
      fleet.serve(),
      fleet.seed(50),
      fleet.work({ NODE_ID: 'one' }),
      fleet.work({ NODE_ID: 'two' }),
    ]);
    await authenticateAll(node, accounts);
    const reaper = await eventually(() => fleet.redis.get(`${fleet.env.KEY_PREFIX}{nodes}:reaper`));
    workers[String(reaper).startsWith('one') ? 0 : 1]!.kill('SIGKILL');
    node.kill('SIGKILL');
    await eventually(isDetached(50), { timeoutMs: DETACHED_WITHIN_MS, intervalMs: 100 });
    expect(storiesOf(await fleet.expectConsistent())).toEqual({ 'started detached:node_lost': 50 });
  });

  it('that comes back, it claims its sessions back, but for those that were resumed elsewhere', async () => {
    fleet = new Fleet({ REDIS_URL: redis.url, LEASE_SECONDS: '2' }, redis.client());
    const [a, b, accounts] = await Promise.all([fleet.serve(), fleet.serve(), fleet.seed(200), fleet.work()]);
    const clients = await authenticateAll(a, accounts);

    a.kill('SIGSTOP');
    await eventually(isDetached(200), { timeoutMs: DETACHED_WITHIN_MS, intervalMs: 100 });
    const elsewhere = await authenticateAll(b, accounts.slice(0, 100));
    a.kill('SIGCONT');

    for (const client of clients.slice(0, 100)) expect(await client.closed).toMatchObject({ code: 1012 });
    await eventually(async () => countByType(await fleet.log())['session.resumed'] === 200);
    for (const client of [...clients.slice(100), ...elsewhere]) {
      expect(await logout(client)).toEqual({ type: 'logged_out' });
    }
    const log = await fleet.expectConsistent();
    expect(storiesOf(log)).toEqual({ 'started detached:node_lost resumed logged_out': 200 });
    const resumedBy = new Map<string, number>();
    for (const { type, node } of log) {
      if (type === 'session.resumed') resumedBy.set(node, (resumedBy.get(node) ?? 0) + 1);
    }
    expect([...resumedBy.values()]).toEqual([100, 100]);
  });

  it('only cut off from Redis, its clients log out after all, and can resume on it, too', async () => {
    fleet = new Fleet({ REDIS_URL: redis.url, LEASE_SECONDS: '2' }, redis.client());
    const proxy = await startProxy({ host: '127.0.0.1', port: redis.port });
    try {
      const [a, accounts] = await Promise.all([
        fleet.serve({ REDIS_URL: `redis://127.0.0.1:${proxy.port}` }),
        fleet.seed(30),
        fleet.work(),
      ]);
      const clients = await authenticateAll(a, accounts);
      proxy.pause();
      await eventually(isDetached(30), { timeoutMs: DETACHED_WITHIN_MS, intervalMs: 100 });

      // a third says goodbye, a third comes again on another connection of the same node, a third just stays
      const goodbyes = clients.slice(0, 10).map((client) => logout(client));
      const again = await Promise.all(accounts.slice(10, 20).map(() => connect(a.wsUrl)));
      const answers = again.map((client, i) => tokenAuth(client, accounts[10 + i]!.token));
      proxy.resume();
      for (const goodbye of goodbyes) expect(await goodbye).toEqual({ type: 'logged_out' });
      for (const answer of answers) expect(await answer).toMatchObject({ type: 'auth_success' });

      // whoever of the two has the old session, it was resumed once, those that were left not at all, and an operator can end all of them
      await eventually(async () => countByType(await fleet.log())['session.resumed'] === 20);
      for (const { username } of accounts.slice(10, 20)) await fleet.cli('logout', username);
      for (const [i, client] of again.entries()) {
        expect(await client.next()).toEqual(ENDED_BY_OPERATOR);
        const [old] = clients.slice(10 + i);
        await Promise.race([
          old!.closed.then(({ code }) => expect(code).toBe(1012)),
          old!.next().then((message) => expect(message).toEqual(ENDED_BY_OPERATOR)),
        ]);
      }
      await fleet.expectConsistent();
    } finally {
      await proxy.stop();
    }
  });
});

const ENDED_BY_OPERATOR = { type: 'logged_out', payload: { reason: 'operator' } };

/** Opens a connection for each account and authenticates it by token. */
async function authenticateAll(
  node: NodeProcess,
  accounts: readonly Account[],
  resume?: boolean,
): Promise<TestClient[]> {
  return Promise.all(
    accounts.map(async ({ token }) => {
      const client = await connect(node.wsUrl);
      expect(await tokenAuth(client, token, resume)).toMatchObject({ type: 'auth_success' });
      return client;
    }),
  );
}
