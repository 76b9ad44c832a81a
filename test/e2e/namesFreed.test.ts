import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bucketOfUsername, hashName, newAccountId } from '../../src/store/ids.js';
import { logout, setUsername } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { displayNameUpdated, INVALID_PAYLOAD, LOGGED_OUT, SOON } from '../support/expected.js';
import { type Account, Fleet, storiesOf, storyOf } from '../support/fleet.js';
import { countByType } from '../support/log.js';
import { enter, type Player } from '../support/players.js';
import type { NodeProcess } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { Scene } from '../support/scene.js';

/** What it may take until the names of a lost node's sessions are free, in ms. */
const LOST_MS = 30_000;

describe('a display name is free again', () => {
  let redis: RedisServer;
  let fleet: Fleet;
  let nodes: NodeProcess[];
  let accounts: Account[];

  beforeEach(async () => {
    redis = await startRedis();
    const env = { REDIS_URL: redis.url, PARTITIONS: '4', RESUME_SECONDS: '1', LEASE_SECONDS: '2' };
    fleet = new Fleet(env, redis.client());
    nodes = await Promise.all([fleet.serve(), fleet.serve()]);
    await fleet.work();
    accounts = await fleet.seed(30);
  });

  afterEach(async () => {
    await fleet?.stop();
    await redis?.stop();
  });

  const player = (node: number, account = accounts.pop()!) => enter(nodes[node]!, account);

  async function named(node: number, name: string): Promise<Player> {
    const one = await player(node);
    expect(await setUsername(one.client, name)).toEqual(displayNameUpdated(name));
    return one;
  }

  async function expectFree(name: string, { client }: Player, timeout = SOON.timeout): Promise<void> {
    await expect.poll(() => setUsername(client, name), { timeout }).toEqual(displayNameUpdated(name));
  }

  it('after the logout, by the client or by an operator, and for the one who had it, too', async () => {
    const one = await named(0, 'Evergreen');
    expect(await logout(one.client)).toEqual(LOGGED_OUT);
    const two = await player(1);
    await expectFree('Evergreen', two);

    expect((await fleet.cli('logout', two.username)).code).toBe(0);
    expect(await two.client.next()).toEqual({ type: 'logged_out', payload: { reason: 'operator' } });
    const three = await player(1);
    await expectFree('Evergreen', three);

    expect(await setUsername(three.client, three.username)).toEqual(displayNameUpdated(three.username));
    await expectFree('Evergreen', await player(0, one));
    await fleet.expectConsistent();
  });

  it('after another session has replaced the one that had it', async () => {
    const one = await named(0, 'Replaced');
    const { token } = accounts.pop()!;
    expect(await one.client.request({ type: 'token_auth', payload: { token } })).toMatchObject({
      type: 'auth_success',
    });
    await expectFree('Replaced', await player(1));
    await fleet.expectConsistent();
  });

  it('after its session has expired', async () => {
    const one = await named(0, 'Ephemeral');
    const other = await player(1);
    expect(await setUsername(other.client, 'Ephemeral')).toEqual(INVALID_PAYLOAD);
    await one.client.close();
    await expectFree('Ephemeral', other);
    const [events] = await fleet.sessionsOf(one.token);
    expect(storyOf(events!)).toBe('started renamed detached:closed expired');
    await fleet.expectConsistent();
  });

  it('after its node was killed, and the session has expired', async () => {
    const names = Array.from({ length: 12 }, (_, i) => `Lost ${i}`);
    for (const name of names) await named(0, name);
    const other = await player(1);
    nodes[0]!.kill('SIGKILL');
    for (const name of names) await expectFree(name, other, LOST_MS);
    expect(storiesOf(await fleet.expectConsistent())).toMatchObject({
      'started renamed detached:node_lost expired': 12,
    });
  });

  it('after all of them have gone, with nothing left behind', async () => {
    for (let i = 0; i < 6; i++) {
      const one = await named(i % 2, `Trace ${i}`);
      expect(await setUsername(one.client, `Track ${i}`)).toEqual(displayNameUpdated(`Track ${i}`));
      if (i < 3) expect(await logout(one.client)).toEqual(LOGGED_OUT);
      await one.client.close();
    }
    const expired = async () => countByType(await fleet.log())['session.expired'];
    await expect.poll(expired, { timeout: LOST_MS }).toBe(3);
    const leftovers = async () => {
      const keys = await redis.client().keys(`${fleet.env.KEY_PREFIX}*`);
      return keys.filter((key) => /\}:(claim|freed|reservations)/.test(key));
    };
    await expect.poll(leftovers, { timeout: LOST_MS }).toEqual([]);
    await fleet.expectConsistent();
  });

  it('after who has reserved it died before he had it, once a worker has seen to that', async () => {
    const scene = await Scene.open(fleet.env);
    try {
      const { claims, keys, committer } = scene.deployment;
      const value = hashName('Half a name');
      const dead = newAccountId(7);
      const claim = await claims.reserve('name', value, dead, (operation) => committer.commit(operation));
      expect(claim).toMatchObject({ isConfirmed: false });
      const other = await player(0);
      expect(await setUsername(other.client, 'Half a name')).toEqual(INVALID_PAYLOAD);

      // as if that had been long ago
      const reservations = keys.reservations(keys.partitionOf(bucketOfUsername('Half a name')));
      const client = redis.client();
      expect(await client.zscore(reservations, `name:${value}`)).not.toBeNull();
      await client.zadd(reservations, 'XX', Date.now() - 3_600_000, `name:${value}`);
      await expectFree('Half a name', other);
      await eventually(async () => (await client.zcard(reservations)) === 0);
      await fleet.expectConsistent();
    } finally {
      scene.close();
    }
  });
});
