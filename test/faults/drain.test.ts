import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connect, type TestClient } from '../support/client.js';
import { login, tokenAuth } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { type Account, Fleet, PASSWORD, storiesOf } from '../support/fleet.js';
import type { NodeProcess } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';

const EXIT_NOT_RECORDED = 3;

describe('a node that is told to end', () => {
  let redis: RedisServer;
  let fleet: Fleet;
  let accounts: Account[];

  beforeEach(async () => {
    redis = await startRedis();
    fleet = new Fleet({ REDIS_URL: redis.url, DRAIN_SECONDS: '1' }, redis.client());
    accounts = await fleet.seed(200);
  });

  afterEach(async () => {
    await fleet?.stop();
    await redis?.stop();
  });

  it('sends its clients elsewhere with 1012, where they resume their sessions', async () => {
    const [a, b] = await Promise.all([fleet.serve({ DRAIN_SECONDS: '20' }), fleet.serve()]);
    const clients = await authenticateAll(a, accounts);
    clients.push(await connect(a.wsUrl)); // one that has no session

    a.kill('SIGTERM');
    await eventually(async () => (await readiness(a)) === 503);
    await expect(connect(a.wsUrl)).rejects.toThrow('ECONNREFUSED');
    expect(clients.some(({ ws }) => ws.readyState === ws.OPEN)).toBe(true); // not all at once
    for (const client of clients) expect(await client.closed).toMatchObject({ code: 1012 });
    expect(await a.exited).toEqual({ code: 0, signal: null });
    expect(storiesOf(await fleet.log())).toEqual({ 'started detached:drained': 200 });

    await authenticateAll(b, accounts);
    expect(storiesOf(await fleet.expectConsistent())).toEqual({ 'started detached:drained resumed': 200 });
  });

  it('answers what it was asked before', async () => {
    const node = await fleet.serve({ HASH_CONCURRENCY: '1' });
    const clients = await Promise.all(Array.from({ length: 30 }, () => connect(node.wsUrl)));
    const answers = clients.map((client, i) => login(client, accounts[i]!.username, PASSWORD));
    await answers[0];
    node.kill('SIGTERM');
    for (const answer of answers) expect(await answer).toMatchObject({ type: 'auth_success' });
    for (const client of clients) expect(await client.closed).toMatchObject({ code: 1012 });
    expect(await node.exited).toEqual({ code: 0, signal: null });
    expect(storiesOf(await fleet.expectConsistent())).toEqual({ 'started detached:drained': 30 });
  });

  it.each([
    ['gone', () => redis.kill('SIGTERM')],
    ['hanging', () => redis.pause()],
  ])('gives up when Redis is %s, and says so by its exit code', async (_, lose) => {
    const [node, worker] = await Promise.all([fleet.serve(), fleet.work()]);
    const clients = await authenticateAll(node, accounts);
    clients.push(await connect(node.wsUrl));
    await lose();
    clients[0]!.send({ type: 'logout' });
    node.kill('SIGTERM');
    worker.kill('SIGTERM');
    for (const client of clients) expect(await client.closed).toMatchObject({ code: 1012 });
    expect(await node.exited).toEqual({ code: EXIT_NOT_RECORDED, signal: null });
    expect(await worker.exited).toEqual({ code: 0, signal: null });
    expect(clients[0]!.received[1]).toMatchObject({ payload: { code: 'SERVICE_UNAVAILABLE' } });
  });

  it('quits at once when it is told again', async () => {
    const node = await fleet.serve({ DRAIN_SECONDS: '600' });
    await authenticateAll(node, accounts);
    await redis.kill('SIGTERM');
    node.kill('SIGTERM');
    await eventually(async () => (await readiness(node)) === 503);
    await node.logLine(({ msg }) => msg === 'going away');
    node.kill('SIGTERM');
    const { code, signal } = await node.exited;
    expect({ code: code !== 0, signal }).toEqual({ code: true, signal: null });
  });
});

async function authenticateAll(node: NodeProcess, accounts: readonly Account[]): Promise<TestClient[]> {
  return Promise.all(
    accounts.map(async ({ token }) => {
      const client = await connect(node.wsUrl);
      expect(await tokenAuth(client, token)).toMatchObject({ type: 'auth_success' });
      return client;
    }),
  );
}

async function readiness({ adminUrl }: NodeProcess): Promise<number> {
  return (await fetch(`${adminUrl}/readyz`)).status;
}
