import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Backend, FORMS } from '../support/backends.js';
import type { TestClient } from '../support/client.js';
import { logout, setUsername } from '../support/conversation.js';
import {
  AUTH_REQUIRED,
  displayNameUpdated,
  expectWellFormed,
  INVALID_PAYLOAD,
  LOGGED_OUT,
  privateChat,
  SOON,
  UNKNOWN_TYPE,
} from '../support/expected.js';
import { type Account, Fleet, storyOf } from '../support/fleet.js';
import { enter, type Player } from '../support/players.js';
import type { NodeProcess } from '../support/processes.js';

describe.each(FORMS)('private_chat over two nodes on $name', ({ start }) => {
  let backend: Backend;
  let fleet: Fleet;
  let nodes: NodeProcess[];
  let accounts: Account[];
  /** Somebody on each node whom nothing of all this concerns. */
  let bystanders: Player[];
  let sender: Player;
  let everybody: Player[];

  beforeAll(async () => {
    backend = await start();
    fleet = new Fleet({ ...backend.env, CHAT_RATE: '0', CHAT_CHARACTERS: '100' }, backend.client());
    nodes = [await fleet.serve()]; // the first one fixes the number of partitions
    nodes.push(await fleet.serve());
    accounts = await fleet.seed(40);
    everybody = [];
    bystanders = [await player(0), await player(1)];
    sender = await player(0);
  });

  afterAll(async () => {
    for (const { client } of everybody) expectWellFormed(client);
    await fleet?.stop();
    await backend?.stop();
  });

  async function player(node: number, account = accounts.pop()!): Promise<Player> {
    const one = await enter(nodes[node]!, account);
    everybody.push(one);
    return one;
  }

  const whisper = (target: unknown, message: unknown = 'psst', from = sender) =>
    from.client.send({ type: 'private_chat', payload: { target, message } });

  /** Expects that a message gets to these connections and that nothing else has come to anybody. */
  async function expectHeard(target: string, listeners: readonly Player[], from = sender): Promise<void> {
    const message = `to ${target}`;
    whisper(target, message, from);
    for (const { client } of listeners) {
      expect(await client.next()).toEqual(privateChat(from.username, message));
    }
    await expectSilence();
  }

  /** Expects that nothing has come to anybody. What a node is told comes in order, so the last of it is waited for. */
  async function expectSilence(): Promise<void> {
    for (const one of bystanders) {
      whisper(one.username, 'anything else?');
      expect(await one.client.next()).toEqual(privateChat(sender.username, 'anything else?'));
    }
    const open = everybody.filter(({ client }) => client.ws.readyState === client.ws.OPEN);
    for (const { client } of open) await expectNothing(client);
  }

  it('gets to every connection of the username, on both nodes, and to nobody else', async () => {
    const account = accounts.pop()!;
    const listeners = [await player(0, account), await player(1, account), await player(1, account)];
    await expectHeard(account.username, listeners);
    for (const { client } of listeners) {
      expect(client.rawFrames.at(-2)).toBe(
        `{"type":"private_chat","payload":{"username":"${sender.username}","message":"to ${account.username}"}}`,
      );
    }
    await expectHeard(account.username, listeners, bystanders[1]);
  });

  it('gets to every connection of the account by the display name of one of its sessions', async () => {
    const account = accounts.pop()!;
    const listeners = [await player(0, account), await player(1, account)];
    const name = 'Zoë "Z"';
    expect(await setUsername(listeners[0]!.client, name)).toEqual(displayNameUpdated(name));
    await expectHeard(name, listeners);
    await expectHeard(name.normalize('NFD'), listeners);
    await expectHeard(account.username, listeners);
  });

  it('comes under the display name of who says it', async () => {
    const [from, to] = [await player(0), await player(1)];
    expect(await setUsername(from.client, 'Masked')).toEqual(displayNameUpdated('Masked'));
    whisper(to.username, 'guess who', from);
    expect(await to.client.next()).toEqual(privateChat('Masked', 'guess who'));
    await expectSilence();
  });

  it('gets to oneself, and to the other connections that one has', async () => {
    const account = accounts.pop()!;
    const [one, twin] = [await player(0, account), await player(1, account)];
    await expectHeard(account.username, [one, twin], one);
  });

  it('comes in order, each once', async () => {
    const [from, to] = [await player(0), await player(1)];
    for (let i = 0; i < 100; i++) whisper(to.username, `${i}`, from);
    for (let i = 0; i < 100; i++) {
      expect(await to.client.next()).toEqual(privateChat(from.username, `${i}`));
    }
    await expectSilence();
  });

  it('gets to nobody who is not there, and the sender is told nothing', async () => {
    const offline = accounts.pop()!;
    const left = await player(1);
    await left.client.close();
    await expect.poll(async () => storyOf((await fleet.sessionsOf(left.token))[0]!), SOON).toMatch(/closed$/);
    for (const target of [offline.username, left.username, 'nobody at all', ' ', '__proto__', '*', '😀']) {
      await expectHeard(target, []);
    }
  });

  it('gets to nobody after the logout, by neither name', async () => {
    const account = accounts.pop()!;
    const [one, twin] = [await player(0, account), await player(1, account)];
    expect(await setUsername(one.client, 'Short-lived')).toEqual(displayNameUpdated('Short-lived'));
    expect(await logout(one.client)).toEqual(LOGGED_OUT);
    await expectHeard('Short-lived', []);
    await expectHeard(account.username, [twin]);
    expect(await logout(twin.client)).toEqual(LOGGED_OUT);
    await expectHeard(account.username, []);
    expect(await one.client.request({ type: 'private_chat', payload: {} })).toEqual(AUTH_REQUIRED);
  });

  it('does not find by a name that the target has no more, but by the one it has', async () => {
    const [one, heir] = [await player(0), await player(1)];
    expect(await setUsername(one.client, 'Before')).toEqual(displayNameUpdated('Before'));
    await expectHeard('Before', [one]);
    expect(await setUsername(one.client, 'Behind')).toEqual(displayNameUpdated('Behind'));
    await expectHeard('Before', []);
    await expectHeard('Behind', [one]);
    await expect.poll(() => setUsername(heir.client, 'Before'), SOON).toEqual(displayNameUpdated('Before'));
    await expectHeard('Before', [heir]);
    expect(await setUsername(one.client, one.username)).toEqual(displayNameUpdated(one.username));
    await expectHeard('Behind', []);
    await expectHeard(one.username, [one]);
  });

  it('follows a session to another node', async () => {
    const one = await player(0);
    expect(await setUsername(one.client, 'Wanderer')).toEqual(displayNameUpdated('Wanderer'));
    const moved = await enter(nodes[1]!, one, true);
    expect(await one.client.closed).toMatchObject({ code: 4001 });
    everybody.push(moved);
    await expectHeard('Wanderer', [moved]);
  });

  it('is refused when there is no target or no message, or too long a one', async () => {
    const to = await player(1);
    const target = to.username;
    for (const payload of [
      undefined,
      null,
      'text',
      [],
      {},
      { target },
      { message: 'x' },
      { target: '', message: 'x' },
      { target, message: '' },
      { target: 1, message: 'x' },
      { target, message: 1 },
      { target: null, message: 'x' },
      { target, message: 'x'.repeat(101) },
      { target, message: '😀'.repeat(101) },
      { target: 'nobody at all', message: 'x'.repeat(101) },
    ]) {
      sender.client.send({ type: 'private_chat', payload });
      expect(await sender.client.next(), JSON.stringify(payload)).toEqual(INVALID_PAYLOAD);
    }
    whisper(target, '😀'.repeat(100));
    expect(await to.client.next()).toEqual(privateChat(sender.username, '😀'.repeat(100)));
    await expectSilence();
  });

  it('has left a log that agrees with the records', async () => {
    await fleet.expectConsistent();
  });
});

/** Expects that what a connection is sent next is the answer to what it asks now. */
async function expectNothing(client: TestClient): Promise<void> {
  const { type, payload } = await client.request({ type: 'no such type' });
  expect([UNKNOWN_TYPE, AUTH_REQUIRED]).toContainEqual({ type, payload });
}
