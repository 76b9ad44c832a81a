import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { seed } from '../../src/commands/seed.js';
import { LATEST_COMMIT_MS } from '../../src/log/lane.js';
import { isLive } from '../../src/session/state.js';
import type { Claim } from '../../src/store/claims.js';
import { bucketOfUsername, hashName } from '../../src/store/ids.js';
import type { Outcome } from '../../src/store/sessions.js';
import { tempDir } from '../support/guardian.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { type Player, Scene } from '../support/scene.js';

const NAME = 'Sought after';

/** A moment at which every reservation that was made by now has been there for long. */
const LATER_MS = 61_000;

describe('the claim of a display name', () => {
  let redis: RedisServer;
  let scene: Scene;
  let one: Player;
  let other: Player;

  beforeAll(async () => {
    redis = await startRedis();
  });

  beforeEach(async () => {
    scene = await Scene.open({ REDIS_URL: redis.url, PARTITIONS: '8' });
    [one, other] = [await scene.player(), await scene.player()];
  });

  afterEach(() => scene.close());

  afterAll(() => redis?.stop());

  const commit: Scene['deployment']['committer']['commit'] = (operation) =>
    scene.deployment.committer.commit(operation);

  const reserve = ({ accountId }: Player, name = NAME) =>
    scene.deployment.names.reserve(name, accountId, commit);

  const find = () => scene.deployment.claims.find('name', hashName(NAME));

  async function reserved(player: Player): Promise<Claim> {
    const claim = await reserve(player);
    if (!claim) throw new Error('The name is taken');
    return claim;
  }

  /** What follows on a reservation: the session gets the name. */
  async function rename(
    id: string,
    claim: Claim | null,
    displayName: string | null = NAME,
  ): Promise<Outcome> {
    const { sessions, claims } = scene.deployment;
    const { state } = await sessions.load(id);
    if (!isLive(state)) throw new Error(`${id} is ${state.status}`);
    const command = { type: 'rename', attachment: state.attachment, chosen: displayName !== null } as const;
    return sessions.execute(id, command, { displayName, ...(claim && { also: claims.guard(claim) }) });
  }

  async function sweep(afterMs: number): Promise<number> {
    const { claims, keys, clock } = scene.deployment;
    let settled = 0;
    for (let partition = 0; partition < keys.partitions; partition++) {
      settled += await claims.sweep(partition, clock.now() + afterMs);
    }
    return settled;
  }

  it('that is only reserved is left alone at first', async () => {
    await reserved(one);
    expect(await sweep(0)).toBe(0);
    expect(await find()).toMatchObject({ owner: one.accountId, isConfirmed: false });
    expect(await reserve(other)).toBeNull();
  });

  it('is given up when its owner never had the name, and then he cannot have it by that claim', async () => {
    const session = await scene.begin(one);
    const claim = await reserved(one);
    expect(await sweep(LATER_MS)).toBe(1);
    expect(await sweep(LATER_MS)).toBe(0);
    expect(await find()).toBeNull();
    expect(await rename(session, claim)).toMatchObject({ done: false, refused: 'guarded' });
    expect(await reserve(other)).toMatchObject({ owner: other.accountId });
  });

  it('is confirmed when its owner has the name and died before he could say so', async () => {
    const session = await scene.begin(one);
    expect(await rename(session, await reserved(one))).toMatchObject({ done: true });
    expect(await find()).toMatchObject({ isConfirmed: false });
    expect(await sweep(LATER_MS)).toBe(1);
    expect(await find()).toMatchObject({ owner: one.accountId, isConfirmed: true });
    expect(await reserve(other)).toBeNull();
  });

  it('holds up nobody when no session has the name any more, though nobody has seen to it', async () => {
    const session = await scene.begin(one);
    const claim = await reserved(one);
    await rename(session, claim);
    await scene.deployment.claims.settle(claim);
    // as a process that dies at once would leave it
    const key = scene.deployment.keys.sessions(scene.partitionOf(session), one.accountId);
    await scene.deployment.redis.raw.hdel(key, session);
    expect(await find()).toMatchObject({ owner: one.accountId, isConfirmed: true });
    expect(await scene.deployment.names.accountOf(NAME)).toBeNull();
    expect(await reserve(other)).toMatchObject({ owner: other.accountId });
  });

  it('is seen to when it is confirmed for a session that has another name by then', async () => {
    const session = await scene.begin(one);
    const claim = await reserved(one);
    await rename(session, claim);
    await rename(session, null, null);
    await scene.logOut(session);
    // as who has looked whether the session had the name before it chose another one
    const { names, keys } = scene.deployment;
    const partition = keys.partitionOf(bucketOfUsername(NAME));
    const key = keys.claim(partition, 'name', claim.value);
    const body = JSON.stringify(['confirmed', one.accountId]);
    await commit({
      partition,
      checks: [{ key, version: claim.version }],
      events: [],
      writes: [['put', key, '', claim.version, body, 0]],
    });
    expect(await find()).toMatchObject({ isConfirmed: true });
    for (let i = 0; i < keys.partitions; i++) await names.sweep(i, Date.now() + LATER_MS);
    expect(await find()).toBeNull();
    expect(await leftBehind()).toBe(0);
  });

  it('is not settled by who had an earlier one', async () => {
    const earlier = await reserved(one);
    await scene.deployment.claims.settle(earlier);
    const later = await reserved(other);
    await scene.deployment.claims.settle(earlier);
    expect(await find()).toEqual(later);
  });

  it('stands as long as a session of the account has the name', async () => {
    const [first, second] = [await scene.begin(one), await scene.begin(one)];
    for (const session of [first, second]) {
      const claim = await reserved(one);
      await rename(session, claim);
      await scene.deployment.claims.settle(claim);
    }
    await scene.logOut(first);
    await expect.poll(leftBehind).toBe(0);
    expect(await reserve(other)).toBeNull();
    await rename(second, null, null);
    await expect.poll(find).toBeNull();
  });

  it.each([
    ['gives it up', async () => {}],
    [
      'has had the name, and is over',
      async (id: string, claim: Claim) => {
        await rename(id, claim);
        await scene.deployment.claims.settle(claim);
        await scene.logOut(id);
        await expect.poll(leftBehind).toBe(0);
      },
    ],
  ])(
    'is not lost to a session that is about to have the name, when another one of the account %s',
    async (_, play) => {
      const [slow, quick] = [await scene.begin(one), await scene.begin(one)];
      const claim = await reserved(one);
      const second = await reserved(one);
      await play(quick, second);
      await scene.deployment.claims.settle(second);

      // whether the slow one gets the name or not: two accounts never have it
      const { done } = await rename(slow, claim);
      const taken = await reserve(other);
      expect([done, taken !== null]).not.toEqual([true, true]);
    },
  );

  it('that was given up is remembered as long as a commit could still come, and no longer', async () => {
    await reserved(one);
    await sweep(LATER_MS);
    const { redis: client } = scene.deployment;
    const [fence] = await client.servers[0]!.keys(`${scene.prefix}*:fence:*`);
    expect(await client.raw.pttl(fence!)).toBeLessThanOrEqual(LATEST_COMMIT_MS);
  });

  it('is dropped from the index of reservations if it is there no more', async () => {
    await reserved(one);
    const { keys, redis: client } = scene.deployment;
    const partition = keys.partitionOf(bucketOfUsername(NAME));
    await client.raw.del(keys.claim(partition, 'name', hashName(NAME)));
    await sweep(LATER_MS);
    expect(await client.raw.zcard(keys.reservations(partition))).toBe(0);
  });

  it('and a registration by the name exclude each other', async () => {
    const { accounts, names, claims } = scene.deployment;
    const guard = names.guard(NAME);
    const credentials = accounts.credentials(NAME, 'no hash');
    const claim = await reserved(one);
    expect(await accounts.register(credentials, null, guard, commit)).toBeNull();
    expect(await names.isFree(NAME)).toBe(false);
    await claims.settle(claim);
    expect(await names.isFree(NAME)).toBe(true);
    expect(await accounts.register(credentials, null, guard, commit)).not.toBeNull();
    expect(await reserve(one)).toBeNull();
    expect(await names.accountOf(NAME)).toBe(credentials.accountId);
  });

  it('keeps `seed` from the name', async () => {
    const name = 'seeded000001';
    const session = await scene.begin(one);
    const claim = await reserve(one, name);
    await rename(session, claim, name);
    const out = join(tempDir(), 'tokens');
    const request = {
      users: 1,
      out,
      prefix: 'seeded',
      password: 'secret1',
      tokenTtlMs: 1000,
      tokensPerAccount: 1,
    };
    await expect(seed(scene.deployment, request)).rejects.toThrow(`${name} is in use as a display name`);
    await scene.deployment.claims.settle(claim!);
    await rename(session, null, null);
    expect(await seed(scene.deployment, request)).toBe(1);
    expect(await seed(scene.deployment, request)).toBe(0); // only a new token
  });

  /** How many freed names are still to be seen to. */
  async function leftBehind(): Promise<number> {
    const { keys, redis: client } = scene.deployment;
    let count = 0;
    for (let partition = 0; partition < keys.partitions; partition++) {
      count += await client.raw.zcard(keys.freedNames(partition));
    }
    return count;
  }
});
