import { deflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../support/client.js';
import { AUTH_REQUIRED } from '../support/expected.js';
import { encodeFrame, Opcode } from '../support/frames.js';
import { connectRaw } from '../support/rawClient.js';
import { Siege } from './harness/siege.js';

/** How often it is tried, in each way that there is. */
const WAVES = 100;

/** Ten million bytes, compressed to ten thousand. */
const BOMB = deflateRawSync(Buffer.alloc(10_000_000, '{"type":"x"}'));

describe('compression', () => {
  let siege: Siege;

  beforeAll(async () => {
    siege = await Siege.begin();
  });

  afterAll(() => siege?.stop());

  it('is not agreed to, and a client that offers it is served without', async () => {
    const client = await connect(siege.node.wsUrl, { perMessageDeflate: true });
    expect(client.ws.extensions).toBe('');
    client.send({ type: 'logout', payload: 'x'.repeat(5000) }); // long enough to be compressed
    expect(await client.next()).toEqual(AUTH_REQUIRED);
    await client.close();
  });

  it('that was not agreed to ends the connection', async () => {
    const offers = { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' };
    const attack = async (headers: Record<string, string>, reserved: number) => {
      const raw = await connectRaw(siege.node.wsUrl, { headers });
      raw.write(encodeFrame(BOMB, { reserved }));
      const { code } = await raw.closed;
      expect([1002, 1006]).toContain(code);
      expect(raw.frames.filter(({ opcode }) => opcode === Opcode.text)).toEqual([]);
    };
    await siege.during({ grownMb: 50, slowdown: 20 }, async () => {
      for (let wave = 0; wave < WAVES; wave += 1) {
        const kinds = [4, 2, 1, 7].flatMap((reserved) => [attack({}, reserved), attack(offers, reserved)]);
        await Promise.all(kinds);
      }
    });
  });
});
