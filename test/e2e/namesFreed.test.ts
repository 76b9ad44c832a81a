import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bucketOfUsername, hashName, newAccountId } from '../../src/store/ids.js';
import { type Backend, FORMS } from '../support/backends.js';
import { logout, setUsername } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { displayNameUpdated, INVALID_PAYLOAD, LOGGED_OUT, SOON } from '../support/expected.js';
import { type Account, Fleet, storiesOf, storyOf } from '../support/fleet.js';
import { enter, type Player } from '../support/players.js';
import type { NodeProcess } from '../support/processes.js';
import { Scene } from '../support/scene.js';

/** What it may take until the names of a lost node's sessions are free, in ms. */
const LOST_MS = 30_000;

describe.each(FORMS)('a display name is free again, with $name,', ({ start }) => {
  let backend: Backend;
  let fleet: Fleet;
  let nodes: NodeProcess[];
  let accounts: Account[];
  const players: Player[] = [];

  beforeAll(async () => {
    backend = await start();
    const env = { RESUME_SECONDS: '1', LEASE_SECONDS: '2' };
    fleet = new Fleet({ PARTITIONS: '4', ...backend.env, ...env }, backend.client());
    nodes = await Promise.all([fleet.serve(), fleet.serve()]);
    await fleet.work();
    accounts = await fleet.seed(60);
  });

  afterAll(async () => {
    await fleet?.stop();
    await backend?.stop();
  });

  async function player(node: number, account = accounts.pop()!): Promise<Player> {
    const one = await enter(nodes[node]!, account);
    players.push(one);
    return one;
  }

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
  });

  it('after another session has replaced the one that had it', async () => {
    const one = await named(0, 'Replaced');
    const { token } = accounts.pop()!;
    expect(await one.client.request({ type: 'token_auth', payload: { token } })).toMatchObject({
      type: 'auth_success',
    });
    await expectFree('Replaced', await player(1));
  });

  it('after its session has expired', async () => {
    const one = await named(0, 'Ephemeral');
    const other = await player(1);
    expect(await setUsername(other.client, 'Ephemeral')).toEqual(INVALID_PAYLOAD);
    await one.client.close();
    await expectFree('Ephemeral', other);
    const [events] = await fleet.sessionsOf(one.token);
    expect(storyOf(events!)).toBe('started renamed detached:closed expired');
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
      const client = fleet.redis;
      expect(await client.zscore(reservations, `name:${value}`)).not.toBeNull();
      await client.zadd(reservations, 'XX', Date.now() - 3_600_000, `name:${value}`);
      await expectFree('Half a name', other);
      await eventually(async () => (await client.zscore(reservations, `name:${value}`)) === null);
    } finally {
      scene.close();
    }
  });

  it('after its node was killed, and the session has expired', async () => {
    const names = Array.from({ length: 12 }, (_, i) => `Lost ${accounts.length} ${i}`);
    const lost = await Promise.all(names.map((name) => named(0, name)));
    const other = await player(1);
    nodes[0]!.kill('SIGKILL');
    nodes[0] = await fleet.serve();
    for (const name of names) await expectFree(name, other, LOST_MS);
    for (const { token } of lost) {
      const stories = (await fleet.sessionsOf(token)).map(storyOf);
      expect(stories).toEqual(['started renamed detached:node_lost expired']);
    }
  });

  it('after all of them have gone, with nothing left behind', async () => {
    for (let i = 0; i < 6; i++) {
      const one = await named(i % 2, `Trace ${i}`);
      expect(await setUsername(one.client, `Track ${i}`)).toEqual(displayNameUpdated(`Track ${i}`));
      if (i < 3) expect(await logout(one.client)).toEqual(LOGGED_OUT);
    }
    await Promise.all(players.map(({ client }) => client.close()));
    const leftovers = async () =>
      (await fleet.keys()).filter((key) => /\}:(claim|freed|reservations)/.test(key));
    await expect.poll(leftovers, { timeout: LOST_MS }).toEqual([]);
    const stories = Object.keys(storiesOf(await fleet.expectConsistent()));
    expect(stories.filter((story) => !/(logged_out|replaced|expired)$/.test(story))).toEqual([]);
  });
});
