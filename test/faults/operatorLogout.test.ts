import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connect, type TestClient } from '../support/client.js';
import { logout, tokenAuth } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { type Account, Fleet, storyOf } from '../support/fleet.js';
import type { NodeProcess } from '../support/processes.js';
import { startProxy, type TcpProxy } from '../support/proxy.js';
import { type RedisServer, startRedis } from '../support/redis.js';

const SESSIONS = 40;

/** How long after the node hears again a session may live on, in ms. */
const ENDS_WITHIN_MS = 5000;

const ENDED_BY_OPERATOR = { type: 'logged_out', payload: { reason: 'operator' } };
const AUTH_REQUIRED = {
  type: 'error',
  payload: { message: 'Authentication required', code: 'AUTH_REQUIRED' },
};

describe('an operator ends sessions', () => {
  let redis: RedisServer;
  let proxy: TcpProxy;
  let fleet: Fleet;
  let node: NodeProcess;
  let account: Account;
  let clients: TestClient[];

  beforeEach(async () => {
    redis = await startRedis();
    proxy = await startProxy({ host: '127.0.0.1', port: redis.port });
    fleet = new Fleet({ REDIS_URL: redis.url, LEASE_SECONDS: '2' }, redis.client());
    node = await fleet.serve({ REDIS_URL: `redis://127.0.0.1:${proxy.port}` });
    [account] = (await fleet.seed(1)) as [Account];
    clients = await Promise.all(Array.from({ length: SESSIONS }, () => connect(node.wsUrl)));
    for (const client of clients) {
      expect(await tokenAuth(client, account.token)).toMatchObject({ type: 'auth_success' });
    }
  });

  afterEach(async () => {
    await fleet?.stop();
    await proxy?.stop();
    await redis?.stop();
  });

  /** Expects that each client is told once, and that each session has ended once. */
  async function expectAllEnded(): Promise<void> {
    for (const client of clients) {
      expect(await client.next(ENDS_WITHIN_MS)).toEqual(ENDED_BY_OPERATOR);
      expect(await logout(client)).toEqual(AUTH_REQUIRED);
    }
    const stories = (await fleet.sessionsOf(account.token)).map(storyOf);
    expect(stories).toEqual(Array(SESSIONS).fill('started logged_out'));
    await fleet.expectConsistent();
    for (const client of clients) expect(client.received).toHaveLength(3);
  }

  it('while the subscription of their node is being cut', async () => {
    let isOver = false;
    const ending = fleet.cli('logout', account.username).finally(() => {
      isOver = true;
    });
    let cuts = 0;
    while (!isOver) cuts += Number(await fleet.redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub'));
    expect(await ending).toMatchObject({ code: 0 });
    expect(cuts).toBeGreaterThan(0);
    await expectAllEnded();
  });

  it('while their node hears nothing, and goes on with the connections it has', async () => {
    proxy.pause();
    expect(await fleet.cli('logout', account.username)).toMatchObject({ code: 0 });
    proxy.resume();
    await expectAllEnded();
  });

  it('while their node hears nothing, and has to connect again', async () => {
    proxy.pause();
    expect(await fleet.cli('logout', account.username)).toMatchObject({ code: 0 });
    proxy.cut();
    proxy.resume();
    await expectAllEnded();
  });

  it('while their node cannot connect for longer than its lease', async () => {
    await fleet.work();
    await proxy.refuse(true);
    proxy.cut();
    expect(await fleet.cli('logout', account.username)).toMatchObject({ code: 0 });
    const leases = `${fleet.env.KEY_PREFIX}{nodes}:lease:*`;
    await eventually(async () => (await fleet.redis.keys(leases)).length === 0);
    await proxy.refuse(false);
    await expectAllEnded();
  });

  it('that are being left by their clients: those who came too late are told so', async () => {
    proxy.pause('toServer'); // what the clients want comes to Redis later than what the operator wants
    const goodbyes = clients.map((client) => logout(client));
    expect(await fleet.cli('logout', account.username)).toMatchObject({ code: 0 });
    proxy.resume();
    for (const [i, goodbye] of goodbyes.entries()) {
      expect(await goodbye).toEqual(ENDED_BY_OPERATOR);
      expect(await clients[i]!.next()).toEqual(AUTH_REQUIRED);
    }
    const stories = (await fleet.sessionsOf(account.token)).map(storyOf);
    expect(stories).toEqual(Array(SESSIONS).fill('started logged_out'));
    await fleet.expectConsistent();
    for (const client of clients) expect(client.received).toHaveLength(3);
  });

  it('that are being left by their clients: either comes first, and both know who did', async () => {
    const ending = fleet.cli('logout', account.username);
    let ended = 0;
    for (const client of clients) {
      if (client.received.length > 1) break;
      client.send({ type: 'logout' });
      await new Promise((resolve) => setTimeout(resolve, 10)); // spread over the time that the operator's command takes
    }
    await ending;
    for (const client of clients) {
      if ((await client.next()).payload === undefined) continue;
      ended += 1;
      client.send({ type: 'logout' });
      expect(await client.next()).toEqual(AUTH_REQUIRED);
    }
    const sessions = await fleet.sessionsOf(account.token);
    expect(sessions.map(storyOf)).toEqual(Array(SESSIONS).fill('started logged_out'));
    expect(sessions.filter(([, end]) => end!.data.by === 'operator')).toHaveLength(ended);
    await fleet.expectConsistent();
  });
});
