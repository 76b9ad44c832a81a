import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Backend, FORMS, OUTAGES, SINGLE } from '../support/backends.js';
import { connect } from '../support/client.js';
import { login, logout, tokenAuth } from '../support/conversation.js';
import {
  globalChat,
  LOGGED_OUT,
  privateChat,
  RATE_LIMITED,
  SERVICE_UNAVAILABLE,
  SOON,
} from '../support/expected.js';
import { type Account, Fleet, PASSWORD, storyOf } from '../support/fleet.js';
import { enter, type Player } from '../support/players.js';
import type { NodeProcess } from '../support/processes.js';

/** How long an answer may take while Redis hangs, in ms. */
const PATIENCE_MS = 20_000;

/** CHAT_RATE a second for ten seconds: so many may be said at once. */
const CHAT_RATE = 2;
const WINDOW_MS = 10_000;
const AT_ONCE = 10 * CHAT_RATE;

describe.each(FORMS)('chat, with $name,', (form) => {
  let backend: Backend;
  let fleet: Fleet;
  let nodes: NodeProcess[];
  let accounts: Account[];
  const players: Player[] = [];

  beforeAll(async () => {
    backend = await form.start();
    fleet = new Fleet({ ...backend.env, CHAT_RATE: `${CHAT_RATE}` }, backend.client());
    nodes = await Promise.all([fleet.serve(), fleet.serve()]);
    accounts = await fleet.seed(10);
  });

  afterEach(async () => {
    await Promise.all(players.splice(0).map(({ client }) => client.close()));
  });

  afterAll(async () => {
    await fleet?.stop();
    await backend?.stop();
  });

  async function player(node: number, account = accounts.pop()!, resume?: boolean): Promise<Player> {
    const one = await enter(nodes[node]!, account, resume);
    players.push(one);
    return one;
  }

  const say = ({ client }: Player, payload: string) => client.request({ type: 'global_chat', payload });

  const whisper = ({ client }: Player, target: string) =>
    client.request({ type: 'private_chat', payload: { target, message: 'psst' } });

  it('is limited for an account, across nodes, reconnects and sessions, and for no other one', async () => {
    const one = await player(0);
    const twin = await connect(nodes[1]!.wsUrl);
    expect(await login(twin, one.username, PASSWORD)).toMatchObject({ type: 'auth_success' });

    // of both kinds together
    for (let i = 0; i < AT_ONCE / 2; i++) {
      expect(await say(one, `${i}`)).toEqual(globalChat(one.username, `${i}`));
      expect(await whisper(one, one.username)).toEqual(privateChat(one.username, 'psst'));
    }
    expect(await say(one, 'too much')).toEqual(RATE_LIMITED);
    expect(await whisper(one, one.username)).toEqual(RATE_LIMITED);
    expect(await whisper(one, 'nobody at all')).toEqual(RATE_LIMITED);

    // so it is for the session wherever it is resumed
    const moved = await player(1, one, true);
    expect(await say(moved, 'still')).toEqual(RATE_LIMITED);
    await moved.client.close();
    const story = async () => storyOf((await fleet.sessionsOf(one.token))[0]!);
    const left = 'started detached:taken_over resumed detached:closed';
    await expect.poll(story, SOON).toBe(left);
    const again = await player(0, one);
    expect(await say(again, 'and still')).toEqual(RATE_LIMITED);
    expect(await story()).toBe(`${left} resumed`);

    // and for any other session of the account, but nothing else is
    expect(await logout(again.client)).toEqual(LOGGED_OUT);
    expect(await tokenAuth(again.client, one.token)).toMatchObject({ type: 'auth_success' });
    expect(await say(again, 'and anew')).toEqual(RATE_LIMITED);
    twin.send({ type: 'global_chat', payload: 'me neither' });
    await expect.poll(() => twin.received.at(-1), SOON).toEqual(RATE_LIMITED);
    expect(await again.client.request({ type: 'count' })).toMatchObject({ type: 'player_count' });

    // nor is anybody else
    const other = await player(1);
    expect(await say(other, 'not me')).toEqual(globalChat(other.username, 'not me'));

    const limits = await fleet.keys('limit:chat*');
    expect(limits).toHaveLength(2);
    for (const key of limits) {
      const left = await fleet.redis.pttl(key);
      expect(left).toBeLessThanOrEqual(WINDOW_MS);
      expect(left).not.toBe(-1); // for ever
    }
  });

  it('has left a log that agrees with the records', async () => {
    await fleet.expectConsistent();
  });

  if (form !== SINGLE) return;

  it('is possible again after a while', async () => {
    const one = await player(0);
    for (let i = 0; i < AT_ONCE; i++) await say(one, 'x');
    expect(await say(one, 'x')).toEqual(RATE_LIMITED);
    await expect
      .poll(() => say(one, 'again'), { timeout: 30_000, interval: 500 })
      .toEqual(globalChat(one.username, 'again'));
  });

  it.each(OUTAGES)(
    'is not possible while Redis is %s, and the connections are fine',
    async (_, begin, end) => {
      const [one, other] = [await player(0), await player(1)];
      await begin(backend.server!);
      const payload = { target: other.username, message: 'psst' };
      for (const message of [
        { type: 'global_chat', payload: 'anybody?' },
        { type: 'private_chat', payload },
      ]) {
        expect(await one.client.request(message, PATIENCE_MS)).toEqual(SERVICE_UNAVAILABLE);
      }
      expect(await one.client.request({ type: 'count' })).toMatchObject({ type: 'player_count' });
      await end(backend.server!);
      // heard again as soon as the nodes listen again
      await expect
        .poll(
          async () => {
            one.client.send({ type: 'global_chat', payload: 'back' });
            return (await other.client.next(1000)).payload;
          },
          { timeout: 30_000, interval: 1000 },
        )
        .toEqual({ username: one.username, message: 'back' });
      expect(other.client.received.filter(({ type }) => type === 'private_chat')).toEqual([]);
      for (const { client } of [one, other]) {
        client.send({ type: 'logout' });
        while (client.received.at(-1)?.type !== 'logged_out') await client.next();
        expect(client.received.at(-1)).toEqual(LOGGED_OUT);
      }
      await fleet.expectConsistent();
    },
  );
});
