import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Presence } from '../../src/cluster/presence.js';
import { Reconciler } from '../../src/cluster/reconcile.js';
import type { Client } from '../../src/handlers/client.js';
import { sessionPlace } from '../../src/store/sessionRecord.js';
import { eventually } from '../support/eventually.js';
import { clientOf, leasesOf } from '../support/handling.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { NODE, type Player, Scene } from '../support/scene.js';

describe('a node that compares its sessions', () => {
  const logger = pino({ level: 'silent' });
  let redis: RedisServer;
  let scene: Scene;
  let presence: Presence<Client>;
  let busy: Set<number>;
  let reconciler: Reconciler;

  beforeAll(async () => {
    redis = await startRedis();
  });
  beforeEach(async () => {
    scene = await Scene.open({ REDIS_URL: redis.url, PARTITIONS: '4' });
    presence = new Presence();
    busy = new Set();
    const isBusy = (connection: number) => busy.has(connection);
    const options = { ...scene.deployment, node: NODE, presence, leases: leasesOf(scene), logger, isBusy };
    reconciler = new Reconciler(options);
  });
  afterEach(() => {
    reconciler.close();
    scene.close();
  });
  afterAll(() => redis?.stop());

  const stateOf = async (id: string) => (await scene.deployment.sessions.load(id)).state;

  /** A session, and the connection that holds it. */
  async function held(player?: Player): Promise<{ id: string; client: Client; told: string[] }> {
    const owner = player ?? (await scene.player());
    const id = await scene.begin(owner);
    const client = await clientOf(scene, { presence }, id, owner);
    const told: string[] = [];
    client.lost = () => void told.push('lost');
    client.endedBy = (who) => void told.push(who);
    client.takenOver = () => void told.push('taken over');
    return { id, client, told };
  }

  it('takes a session for lost that is stored as left by its connection, and looks no further', async () => {
    const { id, told } = await held();
    await scene.detach(id);
    const load = vi.spyOn(scene.deployment.sessions, 'load');
    reconciler.request();
    await expect.poll(() => told).toEqual(['lost']);
    expect(load.mock.calls.length).toBeLessThan(5);
    expect(await stateOf(id)).toMatchObject({ status: 'detached', reason: 'closed' });
  });

  it.each([
    ['attached to', async () => {}],
    ['detached from', (id: string) => scene.detach(id)],
  ])(
    'has a session again that is stored as %s the connection before, by a Redis that has lost the last second',
    async (_, before) => {
      const player = await scene.player();
      const id = await scene.begin(player);
      await before(id);
      const { key } = sessionPlace(scene.deployment.keys, id);
      const places = [key, `${scene.prefix}{${scene.partitionOf(id)}}:node:${NODE}`];
      const dumps = await Promise.all(places.map((place) => redis.client().dumpBuffer(place)));
      if ((await stateOf(id)).status === 'attached') await scene.detach(id);
      await scene.resume(id);
      const client = await clientOf(scene, { presence }, id, player);
      for (const [i, place] of places.entries()) {
        if (dumps[i]) await redis.client().restore(place, 0, dumps[i], 'REPLACE');
        else await redis.client().del(place);
      }
      const { attachment } = (await stateOf(id)) as { attachment: { connection: number } };
      expect(attachment.connection).not.toBe(client.number);

      busy.add(attachment.connection); // it may be about to hold the session, for all that one can tell
      reconciler.request();
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect(await stateOf(id)).toMatchObject({ attachment });
      busy.clear();
      await eventually(async () =>
        expect(await stateOf(id)).toMatchObject({
          status: 'attached',
          attachment: { node: NODE, connection: client.number },
        }),
      );
      expect(client.session?.id).toBe(id);
    },
  );

  it('hears of the end of its sessions although one record, and one partition, can’t be read', async () => {
    const crowd: Awaited<ReturnType<typeof held>>[] = [];
    while (new Set(crowd.map(({ id }) => scene.partitionOf(id))).size < 4 || crowd.length < 12) {
      crowd.push(await held());
    }
    const [first] = crowd as [(typeof crowd)[0]];
    const spoilt = scene.partitionOf(first.id);
    await redis.client().set(`${scene.prefix}{${spoilt}}:node:${NODE}`, 'no set');
    const others = crowd.filter(({ id }) => scene.partitionOf(id) !== spoilt);
    const [unreadable, ...rest] = others as [(typeof crowd)[0], ...typeof crowd];
    for (const { id } of rest) await scene.logOut(id);
    const { key } = sessionPlace(scene.deployment.keys, unreadable.id);
    await redis.client().hset(key, unreadable.id, '1 1 no JSON');
    await redis
      .client()
      .srem(`${scene.prefix}{${scene.partitionOf(unreadable.id)}}:node:${NODE}`, unreadable.id);

    reconciler.request();
    await eventually(() => rest.every(({ told }) => told.includes('operator')));
    expect([...first.told, ...unreadable.told]).toEqual([]);
  });
});
