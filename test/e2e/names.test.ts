import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Backend, FORMS } from '../support/backends.js';
import type { Message } from '../support/client.js';
import { logout, setUsername } from '../support/conversation.js';
import {
  AUTH_REQUIRED,
  displayNameUpdated,
  expectWellFormed,
  globalChat,
  INVALID_PAYLOAD,
  LOGGED_OUT,
  SOON,
  UNKNOWN_TYPE,
} from '../support/expected.js';
import { type Account, Fleet, storyOf } from '../support/fleet.js';
import { enter, type Player } from '../support/players.js';
import type { NodeProcess } from '../support/processes.js';

/** No display names: empty, too long, or not to be seen. */
const NO_NAMES = [
  '',
  ' ',
  '   ',
  'x'.repeat(51),
  '😀'.repeat(51),
  '\u0301',
  '\u200b',
  'a\u200bb',
  'a\u00adb',
  'tab\t',
  'line\nbreak',
  'nul\0',
  'right\u202eleft',
  'wide\u3000space',
  'filler\u3164',
  'braille\u2800',
  'lone\ud800',
  '\ufeffmark',
];

/** Names as they are sent and, after NFC, as they are kept. */
const NAMES = [
  ['x', 'x'],
  ['CoolGamer42', 'CoolGamer42'],
  ['two words', 'two words'],
  ['"quoted" \\ back/slash', '"quoted" \\ back/slash'],
  ['"},"type":"logged_out","x":{"', '"},"type":"logged_out","x":{"'],
  ['<b>&amp;</b>', '<b>&amp;</b>'],
  ['Zoe\u0308 the first', 'Zo\u00eb the first'],
  ['\u212bngstr\u00f6m', '\u00c5ngstr\u00f6m'],
  ['x'.repeat(50), 'x'.repeat(50)],
  ['😀'.repeat(50), '😀'.repeat(50)],
  [`${'e\u0301'.repeat(49)}!`, `${'\u00e9'.repeat(49)}!`],
  ['__proto__', '__proto__'],
  ['{0}:*', '{0}:*'],
] as const;

/** How long `expect.poll` is to try until the worker has seen to what somebody left behind. */
const LEFT_BEHIND = { timeout: 30_000, interval: 100 };

describe.each(FORMS)('set_username on two nodes and $name', ({ start }) => {
  let backend: Backend;
  let fleet: Fleet;
  let nodes: NodeProcess[];
  let accounts: Account[];
  const players: Player[] = [];

  beforeAll(async () => {
    backend = await start();
    fleet = new Fleet({ ...backend.env, CHAT_RATE: '0' }, backend.client());
    nodes = [await fleet.serve()]; // the first one fixes the number of partitions
    nodes.push(await fleet.serve());
    await fleet.work();
    accounts = await fleet.seed(60);
  });

  afterAll(async () => {
    for (const { client } of players) expectWellFormed(client);
    await fleet?.stop();
    await backend?.stop();
  });

  async function player(node: number, account = accounts.pop()!, resume?: boolean): Promise<Player> {
    const one = await enter(nodes[node]!, account, resume);
    players.push(one);
    return one;
  }

  /** Expects that a player may have a name, perhaps after a moment. */
  async function expectFree(name: string, { client }: Player): Promise<void> {
    await expect.poll(() => setUsername(client, name), SOON).toEqual(displayNameUpdated(name));
  }

  /** Expects that a player may not have a name, also when everything is seen to that somebody has left behind. */
  async function expectTaken(name: string, { client }: Player): Promise<void> {
    expect(await setUsername(client, name)).toEqual(INVALID_PAYLOAD);
    await expect.poll(() => freedNames(fleet), LEFT_BEHIND).toBe(0);
    expect(await setUsername(client, name)).toEqual(INVALID_PAYLOAD);
  }

  it('needs a session', async () => {
    const { client } = await player(0);
    await logout(client);
    expect(await setUsername(client, 'nobody')).toEqual(AUTH_REQUIRED);
    expect(await setUsername(client, 1)).toEqual(AUTH_REQUIRED);
  });

  it('answers nothing to what is not a string', async () => {
    const { client } = await player(0);
    for (const payload of [undefined, null, 1, true, {}, ['name'], { username: 'name' }]) {
      client.send({ type: 'set_username', payload });
      expect(await client.request({ type: 'no such type' })).toEqual(UNKNOWN_TYPE);
    }
  });

  it('refuses what is no name', async () => {
    const { client } = await player(1);
    for (const name of NO_NAMES) {
      expect(await setUsername(client, name), JSON.stringify(name)).toEqual(INVALID_PAYLOAD);
    }
  });

  it('takes any other, after NFC, and others see it', async () => {
    const [one, other] = [await player(0), await player(1)];
    for (const [sent, kept] of NAMES) {
      expect(await setUsername(one.client, sent)).toEqual(displayNameUpdated(kept));
      expect(one.client.rawFrames.at(-1)).toBe(JSON.stringify(displayNameUpdated(kept)));
      expect(await setUsername(other.client, sent), sent).toEqual(INVALID_PAYLOAD);
      await expectHeard(one, [other], kept);
    }
    await logout(one.client);
    await logout(other.client);
  });

  it('answers the same name again, and records it once', async () => {
    const { client, token } = await player(0);
    for (let i = 0; i < 3; i++) {
      expect(await setUsername(client, 'Again e\u0301')).toEqual(displayNameUpdated('Again \u00e9'));
    }
    const [events] = await fleet.sessionsOf(token);
    expect(events!.map(({ type }) => type)).toEqual(['session.started', 'session.renamed']);
    expect(events![1]!.data).toEqual({ chosen: true });
  });

  it('takes the display name away for the own username', async () => {
    const [one, other] = [await player(0), await player(1)];
    expect(await setUsername(one.client, one.username)).toEqual(displayNameUpdated(one.username));
    expect(await setUsername(one.client, 'For a while')).toEqual(displayNameUpdated('For a while'));
    expect(await setUsername(one.client, one.username)).toEqual(displayNameUpdated(one.username));
    await expectHeard(one, [other], one.username);
    await expectFree('For a while', other);
    const [events] = await fleet.sessionsOf(one.token);
    expect(events!.slice(1).map(({ data }) => data)).toEqual([{ chosen: true }, { chosen: false }]);
  });

  it("refuses another account's name, whether that is there or not", async () => {
    const [one, other] = [await player(0), await player(1)];
    const absent = accounts.pop()!;
    expect(await setUsername(one.client, other.username)).toEqual(INVALID_PAYLOAD);
    expect(await setUsername(one.client, absent.username)).toEqual(INVALID_PAYLOAD);
    expect(await setUsername(other.client, 'Renamed')).toEqual(displayNameUpdated('Renamed'));
    expect(await setUsername(one.client, other.username)).toEqual(INVALID_PAYLOAD);
  });

  it('gives a name free when its session chooses another', async () => {
    const [one, other] = [await player(0), await player(1)];
    expect(await setUsername(one.client, 'First choice')).toEqual(displayNameUpdated('First choice'));
    expect(await setUsername(one.client, 'Second choice')).toEqual(displayNameUpdated('Second choice'));
    await expectFree('First choice', other);
    await expectTaken('Second choice', other);
    await expectTaken('First choice', one);
  });

  it('lets two sessions of an account share a name, until the last one leaves it', async () => {
    const account = accounts.pop()!;
    const [one, twin, other] = [await player(0, account), await player(1, account), await player(1)];
    for (const { client } of [one, twin]) {
      expect(await setUsername(client, 'Twins')).toEqual(displayNameUpdated('Twins'));
    }
    await expectTaken('Twins', other);
    expect(await logout(one.client)).toEqual(LOGGED_OUT);
    await expectTaken('Twins', other);
    expect(await setUsername(twin.client, 'No twin')).toEqual(displayNameUpdated('No twin'));
    await expectFree('Twins', other);
  });

  it('lets two sessions of an account ask for a name at once', async () => {
    const account = accounts.pop()!;
    const [one, twin, other] = [await player(0, account), await player(1, account), await player(1)];
    for (let i = 0; i < 30; i++) {
      const name = `Both ${i}`;
      const answers = await Promise.all([one, twin].map(({ client }) => setUsername(client, name)));
      expect(answers).toEqual([displayNameUpdated(name), displayNameUpdated(name)]);
    }
    await expectTaken('Both 29', other);
  });

  it('keeps a name while its session waits to be resumed, and after that on another node', async () => {
    const [one, other] = [await player(0), await player(1)];
    expect(await setUsername(one.client, 'Roaming')).toEqual(displayNameUpdated('Roaming'));
    await one.client.close();
    const story = async () => storyOf((await fleet.sessionsOf(one.token))[0]!);
    await expect.poll(story, SOON).toMatch(/detached:closed$/);
    await expectTaken('Roaming', other);
    const again = await player(1, one);
    await expectHeard(again, [other], 'Roaming');
    expect(await setUsername(again.client, 'Roaming')).toEqual(displayNameUpdated('Roaming'));
    await expectTaken('Roaming', other);
    expect(await logout(again.client)).toEqual(LOGGED_OUT);
    await expectFree('Roaming', other);
    expect(await fleet.sessionsOf(one.token)).toHaveLength(1);
  });

  it('keeps a name when its session is taken over', async () => {
    const other = await player(1);
    let one = await player(0);
    expect(await setUsername(one.client, 'Seized')).toEqual(displayNameUpdated('Seized'));
    for (const node of [1, 1, 0]) {
      const previous = one;
      one = await player(node, previous, true);
      expect(await previous.client.closed).toMatchObject({ code: 4001 });
      await expectHeard(one, [other], 'Seized');
      await expectTaken('Seized', other);
    }
  });

  it('has names in no event, and agrees with the log', async () => {
    const log = await fleet.expectConsistent();
    const renamed = log.filter(({ type }) => type === 'session.renamed');
    expect(renamed.length).toBeGreaterThan(50);
    for (const { data } of renamed) expect(Object.keys(data)).toEqual(['chosen']);
    const text = JSON.stringify(log);
    const given = players.flatMap(({ client }) => client.received.filter(isUpdate));
    const names = given.map(({ payload }) => JSON.stringify(payload).slice(1, -1));
    expect(names.filter((name) => name.length > 3 && text.includes(name))).toEqual([]);
  });
});

/** Expects that what a player says is heard by itself and by others under a name. */
async function expectHeard(one: Player, others: readonly Player[], name: string): Promise<void> {
  one.client.send({ type: 'global_chat', payload: 'here I am' });
  for (const { client } of [one, ...others]) {
    expect(await client.next()).toEqual(globalChat(name, 'here I am'));
  }
}

/** How many names that sessions had are still to be seen to. */
async function freedNames({ redis, env }: Fleet): Promise<number> {
  let count = 0;
  for (let partition = 0; partition < Number(env.PARTITIONS ?? 1); partition++) {
    count += await redis.zcard(`${env.KEY_PREFIX}{${partition}}:freed`);
  }
  return count;
}

function isUpdate({ type }: Message): boolean {
  return type === 'display_name_updated';
}
