import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Backend, FORMS } from '../support/backends.js';
import { eventually } from '../support/eventually.js';
import { type Account, Fleet } from '../support/fleet.js';
import { enter, type Player } from '../support/players.js';
import type { NodeProcess } from '../support/processes.js';

const CLIENTS = 1000;
const NODES = 4;
const SENDERS = 20;
const MESSAGES_EACH = 10;
const MESSAGES = SENDERS * MESSAGES_EACH;

/** How long it may take until everybody has heard everything, in ms. */
const PATIENCE_MS = 60_000;

describe.each(FORMS)(`global_chat with ${CLIENTS} clients on ${NODES} nodes and $name`, ({ start }) => {
  let backend: Backend;
  let fleet: Fleet;
  let nodes: NodeProcess[];
  let accounts: Account[];

  beforeAll(async () => {
    backend = await start();
    fleet = new Fleet({ PARTITIONS: '4', ...backend.env, CHAT_RATE: '0' }, backend.client());
    nodes = await Promise.all(Array.from({ length: NODES }, () => fleet.serve()));
    accounts = await fleet.seed(CLIENTS);
  }, 120_000);

  afterAll(async () => {
    await fleet?.stop();
    await backend?.stop();
  });

  it('is heard by each of them, each message once and those of a sender in order', async () => {
    const players: Player[] = [];
    while (players.length < CLIENTS) {
      const next = accounts.slice(players.length, players.length + 100);
      players.push(...(await Promise.all(next.map((account, i) => enter(nodes[i % NODES]!, account)))));
    }
    const senders = players.slice(0, SENDERS);
    for (let i = 0; i < MESSAGES_EACH; i++) {
      for (const { client } of senders) client.send({ type: 'global_chat', payload: `${i}` });
    }

    const heard = ({ client }: Player) => client.received.filter(({ type }) => type === 'global_chat');
    await eventually(() => players.every((player) => heard(player).length >= MESSAGES), {
      timeoutMs: PATIENCE_MS,
      intervalMs: 200,
      message: 'everybody has heard everything',
    });
    // what each node has still to say comes before the answer to what it is asked in a while
    for (const asked of [1, 2]) {
      await Promise.all(
        players.map(async ({ client }) => {
          const answers = () => client.received.filter(({ type }) => type === 'player_count').length;
          client.send({ type: 'count' });
          while (answers() < asked) await client.next(PATIENCE_MS);
        }),
      );
    }
    const inOrder = Array.from({ length: MESSAGES_EACH }, (_, i) => `${i}`);
    const expected = Object.fromEntries(senders.map(({ username }) => [username, inOrder]));
    const wrong = players.filter((player) => {
      const bySender: Record<string, string[]> = {};
      for (const { payload } of heard(player)) {
        const { username, message } = payload as { username: string; message: string };
        bySender[username] = [...(bySender[username] ?? []), message];
      }
      return !isDeepStrictEqual(bySender, expected);
    });
    expect(wrong.map(({ username }) => username)).toEqual([]);
  }, 120_000);
});
