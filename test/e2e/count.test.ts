import keySlot from 'cluster-key-slot';
import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type Backend, FORMS, OUTAGES, SINGLE } from '../support/backends.js';
import { connect, type TestClient } from '../support/client.js';
import { commandsDuring } from '../support/commands.js';
import { logout, tokenAuth } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { AUTH_REQUIRED, SOON } from '../support/expected.js';
import { Fleet } from '../support/fleet.js';
import { enter, type Player } from '../support/players.js';
import type { NodeProcess } from '../support/processes.js';

/** Longer than a node may be silent before it counts no more, in ms. */
const LONG_MS = 2500;

describe.each(FORMS)('count, over three nodes on $name', (form) => {
  let backend: Backend;
  let fleet: Fleet;
  let nodes: NodeProcess[];
  /** Somebody with a session on each node. */
  let askers: Player[];
  /** Connections without a session. */
  const visitors: TestClient[] = [];

  beforeAll(async () => {
    backend = await form.start();
    fleet = new Fleet({ ...backend.env, DRAIN_SECONDS: '0' }, backend.client());
    nodes = await Promise.all([fleet.serve(), fleet.serve(), fleet.serve()]);
    const accounts = await fleet.seed(nodes.length);
    askers = await Promise.all(nodes.map((node, i) => enter(node, accounts[i]!)));
  });

  afterEach(async () => {
    await Promise.all(visitors.splice(0).map((client) => client.close()));
  });

  afterAll(async () => {
    await fleet?.stop();
    await backend?.stop();
  });

  /** Waits until all who ask get the same. */
  async function expectCount(players: number, clients = askers): Promise<void> {
    const answers = () => Promise.all(clients.map(count));
    await expect.poll(answers, SOON).toEqual(clients.map(() => players));
  }

  async function strangers(node: number, number: number): Promise<TestClient[]> {
    const { wsUrl } = nodes[node]!;
    const clients = await Promise.all(Array.from({ length: number }, () => connect(wsUrl)));
    visitors.push(...clients);
    return clients;
  }

  it('is that of all connections, with a session or without, and the same everywhere', async () => {
    await expectCount(3);
    const crowd = [...(await strangers(0, 5)), ...(await strangers(1, 7))];
    await expectCount(15);
    await logout(askers[2]!.client);
    await expectCount(15, askers.slice(0, 2));
    for (const client of crowd.slice(0, 4)) client.destroy();
    await Promise.all(crowd.slice(4, 8).map((client) => client.close()));
    await expectCount(7, askers.slice(0, 2));
    expect(await tokenAuth(askers[2]!.client, askers[2]!.token)).toMatchObject({ type: 'auth_success' });
    await expectCount(7);
  });

  it('needs a session', async () => {
    const [stranger] = await strangers(0, 1);
    expect(await stranger!.request({ type: 'count' })).toEqual(AUTH_REQUIRED);
    await tokenAuth(stranger!, askers[0]!.token);
    expect(await stranger!.request({ type: 'count' })).toMatchObject({ type: 'player_count' });
    await logout(stranger!);
    expect(await stranger!.request({ type: 'count' })).toEqual(AUTH_REQUIRED);
  });

  it('is answered to the letter, whatever payload comes along', async () => {
    const { client: asker } = askers[0]!;
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

  it('asks nobody', async () => {
    await expectCount(3);
    const { client: asker } = askers[0]!;
    const commands = await commandsDuring(fleet, async () => {
      asker.sendTogether(Array.from({ length: 5000 }, () => ({ type: 'count' })));
      for (let i = 0; i < 5000; i++) expect((await asker.next()).type).toBe('player_count');
    });
    const total = Object.values(commands).reduce((sum, calls) => sum + calls, 0);
    expect(total, JSON.stringify(commands)).toBeLessThan(500);
  });

  if (form === SINGLE) {
    it.each(OUTAGES)(
      'is answered while Redis is %s, with what the other nodes said last',
      async (_, begin, end) => {
        await strangers(1, 10);
        await expectCount(13);
        await begin(backend.server!);
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
        await end(backend.server!);
        await expectCount(14);
      },
    );
  }

  it('is right again after a node was killed, and after another was drained', async () => {
    await strangers(1, 10);
    await strangers(2, 20);
    await expectCount(33);
    nodes[1]!.kill('SIGKILL');
    await expectCount(22, [askers[0]!, askers[2]!]);

    const beats = await listenToHeartbeats();
    await expect.poll(() => [...beats.values()].sort(), SOON).toEqual([1, 21]);
    expect((await nodes[2]!.stop()).code).toBe(0);
    await expect.poll(() => [...beats.values()].sort(), SOON).toEqual([0, 1]); // it has said so
    await expectCount(1, [askers[0]!]);
    nodes.push(await fleet.serve());
    await strangers(3, 2);
    await expectCount(3, [askers[0]!]);
  });

  /** The connections of each node, as it says itself; goes on until the test is over. */
  async function listenToHeartbeats(): Promise<ReadonlyMap<string, number>> {
    const beats = new Map<string, number>();
    const channel = `${fleet.env.KEY_PREFIX}{bus}:heartbeats`;
    const listener = serverOf(fleet.redis, channel).duplicate();
    onTestFinished(() => void listener.disconnect());
    const hear = (_: string, text: string) => {
      const { node, connections } = JSON.parse(text);
      beats.set(node, connections);
    };
    listener.on('message', hear).on('smessage', hear);
    await ('nodes' in fleet.redis ? listener.ssubscribe(channel) : listener.subscribe(channel));
    return beats;
  }
});

/** Sends `count`, and gives the number in the answer. */
async function count({ client }: Player): Promise<unknown> {
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
