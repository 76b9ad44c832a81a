import { createConnection } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type TestClient } from '../support/client.js';
import { tokenAuth } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { globalChat } from '../support/expected.js';
import { encodeFrame, Opcode } from '../support/frames.js';
import { Siege } from './harness/siege.js';

const READERS = 20;

/** More than the buffers of the system and `MAX_BACKPRESSURE_BYTES` hold for one of them. */
const CHAT_MESSAGES = 1500;
const CHAT_CHARACTERS = 12_000;

describe('slow readers', () => {
  let siege: Siege;

  beforeAll(async () => {
    siege = await Siege.begin({ CHAT_CHARACTERS: '0' }, READERS + 2);
  });

  afterAll(() => siege?.stop());

  async function enter(account = siege.accounts.pop()!): Promise<TestClient> {
    const client = await connect(siege.node.wsUrl);
    expect((await tokenAuth(client, account.token)).type).toBe('auth_success');
    return client;
  }

  it('of chat are cut off, and the others hear everything', async () => {
    const lazy = await Promise.all(Array.from({ length: READERS }, () => enter()));
    for (const { ws } of lazy) ws.pause();
    const talkerAccount = siege.accounts.pop()!;
    const [talker, listener] = [await enter(talkerAccount), await enter()];
    const said = (i: number) => `${i} `.padEnd(CHAT_CHARACTERS, 'x');

    // all of it would be 18 MB for each of them
    await siege.during({ grownMb: 100, slowdown: 30 }, async () => {
      for (let i = 0; i < CHAT_MESSAGES; i += 1) {
        talker.send({ type: 'global_chat', payload: said(i) });
        expect(await talker.next()).toEqual(globalChat(talkerAccount.username, said(i)));
      }
      await siege.untilOthersAre(2);
    });
    await eventually(() => expect(listener.received).toHaveLength(1 + CHAT_MESSAGES));
    for (const [i, message] of listener.received.slice(1).entries()) {
      expect(message).toEqual(globalChat(talkerAccount.username, said(i)));
    }
    expect(await siege.metric('openchamp_closes_total{reason="slow_reader"}')).toBe(READERS);
    for (const client of [...lazy, talker, listener]) client.ws.terminate();
    await siege.untilOthersAre(0);
  });

  it.each([
    ['answers', encodeFrame('{"type":"x"}')],
    ['pongs', encodeFrame('x'.repeat(100), { opcode: Opcode.ping })],
  ])('of %s are cut off', async (_, question) => {
    const questions = Buffer.concat(Array(2000).fill(question));
    await siege.during({ grownMb: 100, slowdown: 30 }, async () => {
      const lazy = await Promise.all(Array.from({ length: 5 }, () => connect(siege.node.wsUrl)));
      for (const { ws } of lazy) ws.pause();
      await eventually(
        async () => {
          for (const client of lazy) client.writeRaw(questions);
          return (await siege.others()) === 0;
        },
        { timeoutMs: 30_000, intervalMs: 20 },
      );
      for (const { ws } of lazy) ws.terminate();
    });
  });

  it('of answers over HTTP are cut off', async () => {
    const requests = 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(1000);
    await siege.during({ grownMb: 100 }, async () => {
      const socket = createConnection({ port: siege.node.port, host: '127.0.0.1' });
      const cut = new Promise((resolve) => socket.once('close', resolve).on('error', () => {}));
      socket.pause();
      const pump = () => {
        while (!socket.destroyed && socket.write(requests));
      };
      socket.on('drain', pump);
      pump();
      await cut;
    });
  });
});
