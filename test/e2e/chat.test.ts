import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Backend, FORMS } from '../support/backends.js';
import { connect, type TestClient } from '../support/client.js';
import { commandsDuring } from '../support/commands.js';
import { logout, setUsername, tokenAuth } from '../support/conversation.js';
import {
  AUTH_REQUIRED,
  expectWellFormed,
  globalChat,
  INVALID_PAYLOAD,
  LOGGED_OUT,
} from '../support/expected.js';
import { type Account, Fleet } from '../support/fleet.js';
import { enter, type Player } from '../support/players.js';
import type { NodeProcess } from '../support/processes.js';

const MANY = 300;

describe.each(FORMS)('global_chat over two nodes on $name', ({ start }) => {
  let backend: Backend;
  let fleet: Fleet;
  let nodes: NodeProcess[];
  let accounts: Account[];
  /** Everybody who has a session, two on each node. */
  let everybody: Player[];
  let stranger: TestClient;

  beforeAll(async () => {
    backend = await start();
    fleet = new Fleet({ ...backend.env, CHAT_RATE: '0', CHAT_CHARACTERS: '100' }, backend.client());
    nodes = [await fleet.serve()]; // the first one fixes the number of partitions
    nodes.push(await fleet.serve());
    accounts = await fleet.seed(40);
    everybody = [];
    for (let i = 0; i < 4; i++) everybody.push(await player(i % 2));
    stranger = await connect(nodes[0]!.wsUrl);
  });

  afterAll(async () => {
    for (const { client } of everybody) expectWellFormed(client);
    await fleet?.stop();
    await backend?.stop();
  });

  const player = (node: number, account = accounts.pop()!) => enter(nodes[node]!, account);

  const say = ({ client }: Player, message: unknown) =>
    client.send({ type: 'global_chat', payload: message });

  /** Expects that something is what everybody hears next. */
  async function expectHeard(message: string, from = everybody[0]!, name = from.username): Promise<void> {
    for (const { client } of everybody) expect(await client.next()).toEqual(globalChat(name, message));
  }

  it('is heard by everybody with a session, once, the one who says it too, to the letter', async () => {
    for (const one of everybody) {
      for (const message of [
        'Hello everyone!',
        '"quoted" \\ \u2028 <b>',
        '\u0000\n\t',
        ' ',
        '{}',
        'e\u0301 😀',
      ]) {
        say(one, message);
        await expectHeard(message, one);
        const text = JSON.stringify({ type: 'global_chat', payload: { username: one.username, message } });
        for (const { client } of everybody) expect(client.rawFrames.at(-1)).toBe(text);
      }
    }
    expect(stranger.rawFrames).toEqual([]);
  });

  it('is said only by who has a session', async () => {
    expect(await stranger.request({ type: 'global_chat', payload: 'psst' })).toEqual(AUTH_REQUIRED);
    say(everybody[1]!, 'over');
    await expectHeard('over', everybody[1]);
  });

  it('is heard in the order in which one says it', async () => {
    const messages = Array.from({ length: MANY }, (_, i) => `${i}`);
    for (const speaker of [everybody[0]!, everybody[1]!]) {
      speaker.client.sendTogether(messages.map((payload) => ({ type: 'global_chat', payload })));
      for (const message of messages) await expectHeard(message, speaker);
    }
  });

  it('costs one publish', async () => {
    const commands = await commandsDuring(fleet, async () => {
      for (let i = 0; i < MANY; i++) say(everybody[0]!, 'counted');
      for (let i = 0; i < MANY; i++) await expectHeard('counted');
    });
    const { publish = 0, spublish = 0 } = commands;
    // besides, each of the two nodes says every second that it lives
    expect(publish + spublish, JSON.stringify(commands)).toBeGreaterThanOrEqual(MANY);
    expect(publish + spublish, JSON.stringify(commands)).toBeLessThan(1.5 * MANY);
    const name = 'nodes' in fleet.redis ? 'spublish' : 'publish';
    expect(commands[name]).toBe(publish + spublish);
    const total = Object.values(commands).reduce((sum, calls) => sum + calls, 0);
    expect(total, JSON.stringify(commands)).toBeLessThan(2 * MANY);
  });

  it('has no place for what is empty, too long or no text', async () => {
    const [one] = everybody as [Player];
    for (const payload of ['', 'x'.repeat(101), '😀'.repeat(101), undefined, null, 1, true, {}, ['x']]) {
      say(one, payload);
      expect(await one.client.next(), JSON.stringify(payload)).toEqual(INVALID_PAYLOAD);
    }
    for (const message of ['x'.repeat(100), '😀'.repeat(100), 'e\u0301'.repeat(50)]) {
      say(one, message);
      await expectHeard(message);
    }
  });

  it('shows the display name that the one who says it has now', async () => {
    const [one] = everybody as [Player];
    for (const name of ['Loud "one"', 'Louder', one.username]) {
      await setUsername(one.client, name);
      say(one, 'and now?');
      await expectHeard('and now?', one, name);
    }
  });

  it('is heard again, and no more, after authentication, on the same connection', async () => {
    const account = accounts.pop()!;
    const client = await connect(nodes[1]!.wsUrl);
    for (let i = 0; i < 20; i++) {
      await tokenAuth(client, account.token);
      say(everybody[0]!, `with ${i}`);
      await expectHeard(`with ${i}`);
      expect(await client.next()).toEqual(globalChat(everybody[0]!.username, `with ${i}`));
      expect(await logout(client)).toEqual(LOGGED_OUT);
      say(everybody[0]!, `without ${i}`);
      await expectHeard(`without ${i}`);
    }
    // everybody has heard the last one, so this node has had it
    expect(await logout(client)).toEqual(AUTH_REQUIRED);
    expect(client.received.filter(({ type }) => type === 'global_chat')).toHaveLength(20);
  });

  it('is heard once after a session has replaced another, and by nobody who was taken over', async () => {
    const [first, second] = [accounts.pop()!, accounts.pop()!];
    const client = await connect(nodes[0]!.wsUrl);
    for (const { token } of [first, second, first, second]) {
      expect(await tokenAuth(client, token)).toMatchObject({ type: 'auth_success' });
    }
    say(everybody[1]!, 'once');
    await expectHeard('once', everybody[1]);
    expect(await client.next()).toEqual(globalChat(everybody[1]!.username, 'once'));
    expect(await logout(client)).toEqual(LOGGED_OUT);
  });

  it('is heard no more once logged_out has come, also while others go on talking', async () => {
    const speaker = everybody[0]!;
    const leaving = await Promise.all(Array.from({ length: 12 }, (_, i) => player(i % 2)));
    let said = 0;
    const chatter = () => {
      for (let i = 0; i < 10; i++) say(speaker, `${said++}`);
    };
    for (const { client } of leaving) {
      chatter();
      client.send({ type: 'logout' });
      chatter();
      const received: string[] = [];
      while (received.at(-1) !== 'logged_out') received.push((await client.next()).type);
    }
    for (let i = 0; i < said; i++) await expectHeard(`${i}`);
    for (const { client } of leaving) {
      expect(await logout(client)).toEqual(AUTH_REQUIRED);
      const types = client.received.map(({ type }) => type);
      expect(types.slice(types.indexOf('logged_out'))).toEqual(['logged_out', 'error']);
      // until then, all that was said, in order
      const heard = client.received.filter(({ type }) => type === 'global_chat');
      const numbers = heard.map(({ payload }) => Number((payload as { message: string }).message));
      expect(numbers).toEqual(numbers.map((_, i) => i));
    }
  });

  it('has left a log that agrees with the records', async () => {
    const text = JSON.stringify(await fleet.expectConsistent());
    expect(text).not.toContain('Hello everyone');
  });
});
