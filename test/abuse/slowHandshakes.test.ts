import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeCertificate } from '../support/certificate.js';
import { connect } from '../support/client.js';
import { register } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { Siege } from './harness/siege.js';

const EACH = 300;

/** How a request begins that never comes to its end, and what goes on coming. */
const KINDS = [
  ['', ''],
  ['GET /ws HTTP/1.1\r\n', ''],
  ['GET /ws HTTP/1.1\r\nHost: x\r\nX-Slow: ', 'x'],
  ['GET /ws HTTP/1.1\r\nHost: x\r\n', 'X-More: x\r\n'],
  ['POST /register HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n{', ' '],
  ['POST /register HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n', '1\r\n \r\n'],
] as const;

/** The client's first words of TLS, up to where its random bytes would begin. */
const CLIENT_HELLO = Buffer.from('160301020001 0001fc0303'.replace(' ', ''), 'hex');

describe('slow handshakes', () => {
  let siege: Siege;

  beforeAll(async () => {
    siege = await Siege.begin();
  });

  afterAll(() => siege?.stop());

  async function open(port: number, start: string | Buffer): Promise<Socket> {
    const socket = createConnection({ port, host: '127.0.0.1', noDelay: true });
    socket.on('error', () => {}).resume();
    await once(socket, 'connect');
    socket.write(start);
    return socket;
  }

  async function crowd(port: number, kinds: readonly (readonly [string | Buffer, string])[]) {
    const slow: { socket: Socket; more: string }[] = [];
    for (const [start, more] of kinds) {
      for (let i = 0; i < EACH; i += 1) slow.push({ socket: await open(port, start), more });
    }
    return slow;
  }

  it('are cut off, and hold up nobody', async () => {
    const secure = (await siege.fleet.serve(makeCertificate().env)).port;
    await siege.during({ grownMb: 60, slowdown: 10 }, async () => {
      const slow = [
        ...(await crowd(siege.node.port, KINDS)),
        ...(await crowd(secure, [
          ['', ''],
          [CLIENT_HELLO, 'x'],
        ])),
      ];
      const newcomer = await connect(siege.node.wsUrl);
      expect((await register(newcomer, 'in-time', 'secret1')).type).toBe('register_success');
      await newcomer.close();
      await eventually(
        () => {
          const left = slow.filter(({ socket }) => !socket.destroyed);
          for (const { socket, more } of left) socket.write(more);
          expect(left).toHaveLength(0);
        },
        { timeoutMs: 45_000, intervalMs: 1000 },
      );
    });
  });
});
