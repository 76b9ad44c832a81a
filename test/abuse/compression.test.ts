import { deflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../support/client.js';
import { AUTH_REQUIRED } from '../support/expected.js';
import { encodeFrame, Opcode } from '../support/frames.js';
import { connectRaw } from '../support/rawClient.js';
import { Siege } from './harness/siege.js';

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
    const { grownMb } = await siege.during(async () => {
      for (const headers of [{}, offers]) {
        for (const reserved of [4, 2, 1, 7]) {
          const raw = await connectRaw(siege.node.wsUrl, { headers });
          raw.write(encodeFrame(BOMB, { reserved }));
          const { code } = await raw.closed;
          expect([1002, 1006]).toContain(code);
          expect(raw.frames.filter(({ opcode }) => opcode === Opcode.text)).toEqual([]);
        }
      }
    });
    expect(grownMb).toBeLessThan(50);
  });
});
