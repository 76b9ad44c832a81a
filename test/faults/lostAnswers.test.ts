import { afterEach, describe, expect, it } from 'vitest';
import { connect, type Message, type TestClient } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { type Account, Fleet, PASSWORD } from '../support/fleet.js';
import { countByType } from '../support/log.js';
import { startProxy, type TcpProxy } from '../support/proxy.js';
import { type RedisServer, startRedis } from '../support/redis.js';

const CLIENTS_PER_NODE = 4;
const CUTS_PER_NODE = 100;

describe('when answers of Redis get lost', () => {
  let redis: RedisServer;
  let fleet: Fleet;
  const proxies: TcpProxy[] = [];

  afterEach(async () => {
    await fleet?.stop();
    await Promise.all(proxies.splice(0).map((proxy) => proxy.stop()));
    await redis?.stop();
  });

  /** Starts nodes, each with a proxy of its own between it and Redis. */
  async function start(count: number) {
    redis = await startRedis();
    fleet = new Fleet(
      { REDIS_URL: redis.url, TOKENS_PER_ACCOUNT: '0', COMMIT_TIMEOUT_MS: '15000' },
      redis.client(),
    );
    const nodes = Array.from({ length: count }, async () => {
      const proxy = await startProxy({ host: '127.0.0.1', port: redis.port });
      proxies.push(proxy);
      const node = await fleet.serve({ REDIS_URL: `redis://127.0.0.1:${proxy.port}` });
      return { proxy, url: node.wsUrl };
    });
    return Promise.all(nodes);
  }

  it('records everything once and answers as if nothing had been, commits cut off 200 times', async () => {
    const nodes = await start(2);
    const accounts = await fleet.seed(nodes.length * CLIENTS_PER_NODE);
    const counts = { started: 0, resumed: 0, logins: 0, loggedOut: 0 };
    let isOver = false;

    const play = async (url: string, account: Account) => {
      for (let round = 0; !isOver; round++) {
        const client = await connect(url);
        await authenticate(client, account, round);
        if (round % 3 === 0) {
          client.destroy();
          const next = await connect(url);
          const resumed = await ask(next, 'token_auth', { token: account.token, resume: true });
          expect(resumed).toMatchObject({ type: 'auth_success' });
          counts.resumed += 1;
          await leave(next);
        } else {
          await leave(client);
        }
      }
    };
    const authenticate = async (client: TestClient, account: Account, round: number) => {
      const byPassword = round % 3 === 1;
      const answer = byPassword
        ? await ask(client, 'login', { username: account.username, password: PASSWORD })
        : await ask(client, 'token_auth', { token: account.token });
      expect(answer).toMatchObject({ type: 'auth_success', payload: { username: account.username } });
      counts.started += 1;
      if (byPassword) counts.logins += 1;
    };
    const leave = async (client: TestClient) => {
      expect(await ask(client, 'logout')).toEqual({ type: 'logged_out' });
      counts.loggedOut += 1;
      expect(client.received).toHaveLength(2);
      await client.close();
    };

    const playing = Promise.all(
      nodes.flatMap(({ url }, i) =>
        accounts.slice(i * CLIENTS_PER_NODE, (i + 1) * CLIENTS_PER_NODE).map((account) => play(url, account)),
      ),
    );
    const cutting = Promise.all(nodes.map(({ proxy }) => cutCommits(proxy, CUTS_PER_NODE)));
    await Promise.race([playing, cutting]);
    isOver = true;
    await playing;

    const log = await fleet.expectConsistent();
    const { 'token.issued': issued, ...events } = countByType(log);
    expect(issued).toBe(accounts.length + counts.logins);
    expect(events).toEqual({
      'account.registered': accounts.length,
      'session.started': counts.started,
      'session.detached': counts.resumed,
      'session.resumed': counts.resumed,
      'session.logged_out': counts.loggedOut,
    });
  });
});

/** A request whose answer may be long in coming: a commit may be cut off several times. */
function ask(client: TestClient, type: string, payload?: object): Promise<Message> {
  return client.request({ type, ...(payload && { payload }) }, 20_000);
}

/** Batches that a node has under way at the same time. */
const LANES = 2;

/** Cuts the connection between the execution of a commit and its answer, so many times; what is sent again passes. */
async function cutCommits(proxy: TcpProxy, times: number): Promise<void> {
  let replies = 0;
  const isNext = (reply: Buffer) => {
    if (!reply.includes('\r\n[')) return false;
    replies += 1;
    return replies % (LANES + 1) === 0;
  };
  proxy.cutOnReply(isNext, { after: (request) => request.includes(':lane:'), times });
  await eventually(() => proxy.repliesCut === times, { timeoutMs: 40_000, message: 'commits are cut off' });
}
