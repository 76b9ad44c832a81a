import keySlot from 'cluster-key-slot';
import type { Redis } from 'ioredis';
import type { RedisCluster } from '../../support/cluster.js';

const KEYS_AT_ONCE = 50;

/**
 * Moves the slots of some keys to the next master each, key by key while clients go on, as an operator does who adds a
 * master.
 * @returns how many slots were moved
 */
export async function moveSlots(cluster: RedisCluster, keys: readonly string[]): Promise<number> {
  const masters = await Promise.all(
    cluster.masters.map(async (master) => {
      const redis = master.client();
      return { port: master.port, redis, id: String(await redis.call('CLUSTER', 'MYID')) };
    }),
  );
  for (const key of keys) {
    const slot = keySlot(key);
    const owner = await ownerOf(slot, masters);
    const heir = masters[(masters.indexOf(owner) + 1) % masters.length]!;
    await heir.redis.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', owner.id);
    await owner.redis.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', heir.id);
    await moveKeys(owner.redis, heir.port, slot);
    for (const { redis } of [heir, ...masters.filter((master) => master !== heir)]) {
      await redis.call('CLUSTER', 'SETSLOT', slot, 'NODE', heir.id);
    }
  }
  return keys.length;
}

interface Master {
  readonly port: number;
  readonly redis: Redis;
  readonly id: string;
}

async function ownerOf(slot: number, masters: readonly Master[]): Promise<Master> {
  const ranges = (await masters[0]!.redis.call('CLUSTER', 'SLOTS')) as [number, number, [string, number]][];
  const range = ranges.find(([from, to]) => from <= slot && slot <= to);
  const owner = masters.find(({ port }) => port === range?.[2][1]);
  if (!owner) throw new Error(`slot ${slot} is nobody's`);
  return owner;
}

async function moveKeys(redis: Redis, port: number, slot: number): Promise<void> {
  for (;;) {
    const keys = (await redis.call('CLUSTER', 'GETKEYSINSLOT', slot, KEYS_AT_ONCE)) as string[];
    if (keys.length === 0) return;
    await redis.call('MIGRATE', '127.0.0.1', port, '', 0, 10_000, 'KEYS', ...keys);
  }
}
