import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connect, type TestClient } from '../support/client.js';
import { commandsDuring } from '../support/commands.js';
import { logout } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { AUTH_REQUIRED, SOON } from '../support/expected.js';
import { type Account, Fleet } from '../support/fleet.js';
import { enter } from '../support/players.js';
import type { NodeProcess } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';

/** Longer than a node may be silent before it counts no more, in ms. */
const LONG_MS = 5000;

describe('count, over three nodes', () => {
  let redis: RedisServer;
  let fleet: Fleet;
  let nodes: NodeProcess[];
  let accounts: Account[];
  /** Somebody with a session on each node. */
  let askers: TestClient[];

  beforeEach(async () => {
    redis = await startRedis({ appendonly: true });
    fleet = new Fleet({ REDIS_URL: redis.url, DRAIN_SECONDS: '0' }, redis.client());
    nodes = await Promise.all([fleet.serve(), fleet.serve(), fleet.serve()]);
    accounts = await fleet.seed(3);
    askers = [];
    for (const node of nodes) askers.push((await enter(node, accounts.pop()!)).client);
  });

  afterEach(async () => {
    await fleet?.stop();
    await redis?.stop();
  });

  /** Waits until all who ask get the same. */
  async function expectCount(players: number, clients = askers): Promise<void> {
    const answers = () => Promise.all(clients.map(count));
    await expect.poll(answers, SOON).toEqual(clients.map(() => players));
  }

  /** Connections without a session. */
  function strangers(node: number, number: number): Promise<TestClient[]> {
    return Promise.all(Array.from({ length: number }, () => connect(nodes[node]!.wsUrl)));
  }

  it('is that of all connections, with a session or without, and the same everywhere', async () => {
    await expectCount(3);
    const crowd = [...(await strangers(0, 5)), ...(await strangers(1, 7))];
    await expectCount(15);
    await logout(askers[2]!);
    await expectCount(15, askers.slice(0, 2));
    for (const client of crowd.slice(0, 4)) client.destroy();
    await Promise.all(crowd.slice(4, 8).map((client) => client.close()));
    await expectCount(7, askers.slice(0, 2));
    await askers[2]!.close();
    await expectCount(6, askers.slice(0, 2));
  });

  it('needs a session', async () => {
    const [stranger] = await strangers(0, 1);
    expect(await stranger!.request({ type: 'count' })).toEqual(AUTH_REQUIRED);
    await logout(askers[0]!);
    expect(await askers[0]!.request({ type: 'count' })).toEqual(AUTH_REQUIRED);
  });

  it('is answered to the letter, whatever payload comes along', async () => {
    const [asker] = askers as [TestClient];
    await expectCount(3);
    for (const payload of [undefined, null, 1, 'x', {}, []]) {
      await asker.request({ type: 'count', payload });
      expect(asker.rawFrames.at(-1)).toBe('{"type":"player_count","payload":3}');
    }
  });

  it('knows at once of the connections of its own node', async () => {
    await expectCount(3);
    for (let i = 1; i <= 5; i++) {
      await strangers(0, 1);
      expect(await count(askers[0]!)).toBe(3 + i);
    }
  });

  it('is right again after a node was killed, and after another was drained', async () => {
    await strangers(1, 10);
    await strangers(2, 20);
    await expectCount(33);
    nodes[1]!.kill('SIGKILL');
    await expectCount(22, [askers[0]!, askers[2]!]);

    const beats = new Map<string, number>();
    const channel = `${fleet.env.KEY_PREFIX}{bus}:heartbeats`;
    const listener = redis.client();
    await listener.subscribe(channel);
    listener.on('message', (_, text) => {
      const { node, connections } = JSON.parse(text);
      beats.set(node, connections);
    });
    await expect.poll(() => [...beats.values()].sort(), SOON).toEqual([1, 21]);
    expect((await nodes[2]!.stop()).code).toBe(0);
    expect([...beats.values()].sort()).toEqual([0, 1]); // it has said so
    await expectCount(1, [askers[0]!]);
    nodes.push(await fleet.serve());
    await strangers(3, 2);
    await expectCount(3, [askers[0]!]);
  });

  it.each([
    ['stopped', (server: RedisServer) => server.kill('SIGTERM'), (server: RedisServer) => server.start()],
    ['hanging', (server: RedisServer) => server.pause(), async (server: RedisServer) => server.resume()],
  ])('is answered while Redis is %s, with what the other nodes said last', async (_, begin, end) => {
    await strangers(1, 10);
    await expectCount(13);
    await begin(redis);
    const began = performance.now();
    const answers = new Set<unknown>();
    await eventually(
      async () => {
        for (const asker of askers) answers.add(await count(asker));
        return performance.now() - began > LONG_MS;
      },
      { intervalMs: 100 },
    );
    expect([...answers]).toEqual([13]);
    await strangers(1, 1);
    expect(await Promise.all(askers.map(count))).toEqual([13, 14, 13]);
    await end(redis);
    await expectCount(14);
  });

  it('asks nobody', async () => {
    await expectCount(3);
    const [asker] = askers as [TestClient];
    const commands = await commandsDuring(fleet, async () => {
      asker.sendTogether(Array.from({ length: 5000 }, () => ({ type: 'count' })));
      for (let i = 0; i < 5000; i++) expect((await asker.next()).type).toBe('player_count');
    });
    const total = Object.values(commands).reduce((sum, calls) => sum + calls, 0);
    expect(total, JSON.stringify(commands)).toBeLessThan(500);
  });
});

/** Sends `count`, and gives the number in the answer. */
async function count(client: TestClient): Promise<unknown> {
  const answer = await client.request({ type: 'count' });
  expect(answer.type).toBe('player_count');
  return answer.payload;
}
