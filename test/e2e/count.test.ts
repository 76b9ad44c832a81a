import keySlot from 'cluster-key-slot';
import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type Backend, FORMS } from '../support/backends.js';
import { connect, type TestClient } from '../support/client.js';
import { commandsDuring } from '../support/commands.js';
import { logout, tokenAuth } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { AUTH_REQUIRED, SOON } from '../support/expected.js';
import { type Account, Fleet } from '../support/fleet.js';
import { enter } from '../support/players.js';
import type { NodeProcess } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';

/** Longer than a node may be silent before it counts no more, in ms. */
const LONG_MS = 2500;

/** Three nodes, and somebody with a session on each. */
class Town {
  readonly nodes: NodeProcess[] = [];
  readonly askers: TestClient[] = [];
  accounts: Account[] = [];
  private readonly visitors: TestClient[] = [];

  private constructor(readonly fleet: Fleet) {}

  static async open(backend: Pick<Backend, 'env' | 'client'>): Promise<Town> {
    const town = new Town(new Fleet({ ...backend.env, DRAIN_SECONDS: '0' }, backend.client()));
    const { fleet, nodes, askers } = town;
    nodes.push(...(await Promise.all([fleet.serve(), fleet.serve(), fleet.serve()])));
    town.accounts = await fleet.seed(nodes.length);
    for (const [i, node] of nodes.entries()) askers.push((await enter(node, town.accounts[i]!)).client);
    return town;
  }

  /** Connections without a session. */
  async strangers(node: number, number: number): Promise<TestClient[]> {
    const { wsUrl } = this.nodes[node]!;
    const clients = await Promise.all(Array.from({ length: number }, () => connect(wsUrl)));
    this.visitors.push(...clients);
    return clients;
  }

  /** Waits until all who ask get the same. */
  async expectCount(players: number, clients: readonly TestClient[] = this.askers): Promise<void> {
    const answers = () => Promise.all(clients.map(count));
    await expect.poll(answers, SOON).toEqual(clients.map(() => players));
  }

  /** Sends away whoever has no session. */
  async clear(): Promise<void> {
    await Promise.all(this.visitors.splice(0).map((client) => client.close()));
  }
}

describe.each(FORMS)('count, over three nodes on $name', ({ start }) => {
  let backend: Backend;
  let town: Town;

  beforeAll(async () => {
    backend = await start();
    town = await Town.open(backend);
  });

  afterEach(() => town?.clear());

  afterAll(async () => {
    await town?.fleet.stop();
    await backend?.stop();
  });

  it('is that of all connections, with a session or without, and the same everywhere', async () => {
    const { askers } = town;
    await town.expectCount(3);
    const crowd = [...(await town.strangers(0, 5)), ...(await town.strangers(1, 7))];
    await town.expectCount(15);
    await logout(askers[2]!);
    await town.expectCount(15, askers.slice(0, 2));
    for (const client of crowd.slice(0, 4)) client.destroy();
    await Promise.all(crowd.slice(4, 8).map((client) => client.close()));
    await town.expectCount(7, askers.slice(0, 2));
    expect(await tokenAuth(askers[2]!, town.accounts[2]!.token)).toMatchObject({ type: 'auth_success' });
    await town.expectCount(7);
  });

  it('needs a session', async () => {
    const [stranger] = await town.strangers(0, 1);
    expect(await stranger!.request({ type: 'count' })).toEqual(AUTH_REQUIRED);
    await tokenAuth(stranger!, town.accounts[0]!.token);
    expect(await stranger!.request({ type: 'count' })).toMatchObject({ type: 'player_count' });
    await logout(stranger!);
    expect(await stranger!.request({ type: 'count' })).toEqual(AUTH_REQUIRED);
  });

  it('is answered to the letter, whatever payload comes along', async () => {
    const [asker] = town.askers as [TestClient];
    await town.expectCount(3);
    for (const payload of [undefined, null, 1, 'x', {}, []]) {
      await asker.request({ type: 'count', payload });
      expect(asker.rawFrames.at(-1)).toBe('{"type":"player_count","payload":3}');
    }
  });

  it('knows at once of the connections of its own node', async () => {
    await town.expectCount(3);
    for (let i = 1; i <= 5; i++) {
      await town.strangers(0, 1);
      expect(await count(town.askers[0]!)).toBe(3 + i);
    }
  });

  it('asks nobody', async () => {
    await town.expectCount(3);
    const [asker] = town.askers as [TestClient];
    const commands = await commandsDuring(town.fleet, async () => {
      asker.sendTogether(Array.from({ length: 5000 }, () => ({ type: 'count' })));
      for (let i = 0; i < 5000; i++) expect((await asker.next()).type).toBe('player_count');
    });
    const total = Object.values(commands).reduce((sum, calls) => sum + calls, 0);
    expect(total, JSON.stringify(commands)).toBeLessThan(500);
  });

  it('is right again after a node was killed, and after another was drained', async () => {
    const { nodes, askers } = town;
    await town.strangers(1, 10);
    await town.strangers(2, 20);
    await town.expectCount(33);
    nodes[1]!.kill('SIGKILL');
    await town.expectCount(22, [askers[0]!, askers[2]!]);

    const beats = await listenToHeartbeats();
    await expect.poll(() => [...beats.values()].sort(), SOON).toEqual([1, 21]);
    expect((await nodes[2]!.stop()).code).toBe(0);
    await expect.poll(() => [...beats.values()].sort(), SOON).toEqual([0, 1]); // it has said so
    await town.expectCount(1, [askers[0]!]);
    nodes.push(await town.fleet.serve());
    await town.strangers(3, 2);
    await town.expectCount(3, [askers[0]!]);
  });

  /** The connections of each node, as it says itself; goes on until the test is over. */
  async function listenToHeartbeats(): Promise<ReadonlyMap<string, number>> {
    const beats = new Map<string, number>();
    const channel = `${town.fleet.env.KEY_PREFIX}{bus}:heartbeats`;
    const listener = serverOf(town.fleet.redis, channel).duplicate();
    onTestFinished(() => void listener.disconnect());
    const hear = (_: string, text: string) => {
      const { node, connections } = JSON.parse(text);
      beats.set(node, connections);
    };
    listener.on('message', hear).on('smessage', hear);
    await ('nodes' in town.fleet.redis ? listener.ssubscribe(channel) : listener.subscribe(channel));
    return beats;
  }
});

describe('count', () => {
  let redis: RedisServer;
  let town: Town;

  beforeAll(async () => {
    redis = await startRedis({ appendonly: true });
    town = await Town.open({ env: { REDIS_URL: redis.url }, client: () => redis.client() });
  });

  afterEach(() => town?.clear());

  afterAll(async () => {
    await town?.fleet.stop();
    await redis?.stop();
  });

  it.each([
    ['stopped', (server: RedisServer) => server.kill('SIGTERM'), (server: RedisServer) => server.start()],
    ['hanging', (server: RedisServer) => server.pause(), async (server: RedisServer) => server.resume()],
  ])('is answered while Redis is %s, with what the other nodes said last', async (_, begin, end) => {
    const { askers } = town;
    await town.strangers(1, 10);
    await town.expectCount(13);
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
    await town.strangers(1, 1);
    expect(await Promise.all(askers.map(count))).toEqual([13, 14, 13]);
    await end(redis);
    await town.expectCount(14);
  });
});

/** Sends `count`, and gives the number in the answer. */
async function count(client: TestClient): Promise<unknown> {
  const answer = await client.request({ type: 'count' });
  expect(answer.type).toBe('player_count');
  return answer.payload;
}

/** The server that has a key or channel. */
function serverOf(redis: Fleet['redis'], key: string): Redis {
  if (!('nodes' in redis)) return redis;
  const [address] = redis.slots[keySlot(key)]!;
  return redis.nodes('master').find(({ options: { host, port } }) => `${host}:${port}` === address)!;
}
