import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../support/client.js';
import { logout } from '../support/conversation.js';
import { AUTH_REQUIRED } from '../support/expected.js';
import { encodeFrame, Opcode } from '../support/frames.js';
import { connectRaw, type RawClient } from '../support/rawClient.js';
import { residentMb } from './harness/memory.js';
import { Siege } from './harness/siege.js';

/** The default of `MAX_MESSAGE_BYTES`. */
const LIMIT = 16_384;

/** A message over so many times the limit is cut without a code. */
const OVERSIZE = 16;

const ATTACKERS = 200;
const WAVES = 3;

/** The head of a masked text frame that says how long it will be. */
function announcing(bytes: bigint): Buffer {
  const head = Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
  head.writeBigUInt64BE(bytes, 2);
  return head;
}

function fragment(bytes: number, opcode: number, fin = false): Buffer {
  return encodeFrame('x'.repeat(bytes), { opcode, fin });
}

describe('oversized messages', () => {
  let siege: Siege;

  beforeAll(async () => {
    siege = await Siege.begin({ IDLE_SECONDS: '0' });
  });

  afterAll(() => siege?.stop());

  const crowd = () => Promise.all(Array.from({ length: ATTACKERS }, () => connectRaw(siege.node.wsUrl)));

  async function codes(attackers: readonly RawClient[]): Promise<number[]> {
    const ends = await Promise.all(attackers.map(({ closed }) => closed));
    return [...new Set(ends.map(({ code }) => code))];
  }

  it.each([
    ['in one frame', 1009, [fragment(10 * LIMIT, Opcode.text, true)]],
    [
      'in fragments',
      1009,
      [
        fragment(LIMIT, Opcode.text),
        ...Array<Buffer>(8).fill(fragment(LIMIT, Opcode.continuation)),
        fragment(1, Opcode.continuation, true),
      ],
    ],
    [
      'in fragments without end',
      1006,
      [fragment(LIMIT, Opcode.text), ...Array<Buffer>(30).fill(fragment(LIMIT, Opcode.continuation))],
    ],
    ['announced as 1 MB', 1006, [announcing(1_000_000n)]],
    ['announced as 4 GB', 1006, [announcing(2n ** 32n)]],
    ['announced as 8 EB', 1006, [announcing(2n ** 63n - 1n)]],
  ])('%s end the connection with %i', async (_, code, frames) => {
    await siege.during({ grownMb: 100 }, async () => {
      for (let wave = 0; wave < WAVES; wave += 1) {
        const attackers = await crowd();
        for (const attacker of attackers) attacker.write(Buffer.concat(frames));
        expect(await codes(attackers)).toEqual([code]);
      }
    });
  });

  it('that are only announced take no memory', async () => {
    await siege.during({ grownMb: 20 }, async () => {
      const attackers = await crowd();
      for (const attacker of attackers) attacker.write(announcing(BigInt(OVERSIZE * LIMIT)));
      await expectServed();
      for (const attacker of attackers) attacker.destroy();
      await siege.untilOthersAre(0);
    });
  });

  it('that are never finished take what they sent at most, and only as long as they are there', async () => {
    const before = await residentMb(siege.node.pid);
    const largest = (ATTACKERS * OVERSIZE * LIMIT) / 2 ** 20;
    for (let wave = 0; wave < 3; wave += 1) {
      await siege.during({ grownMb: 2 * largest }, async () => {
        const attackers = await crowd();
        for (const attacker of attackers) {
          attacker.write(fragment(LIMIT, Opcode.text));
          for (let i = 2; i < OVERSIZE; i += 1) attacker.write(fragment(LIMIT, Opcode.continuation));
          attacker.write(encodeFrame('', { opcode: Opcode.ping }));
        }
        for (const attacker of attackers) expect((await attacker.next()).opcode).toBe(Opcode.pong);
        for (const attacker of attackers) attacker.destroy();
        await siege.untilOthersAre(0);
      });
    }
    expect((await residentMb(siege.node.pid)) - before).toBeLessThan(2 * largest);
  });

  async function expectServed(): Promise<void> {
    const client = await connect(siege.node.wsUrl);
    expect(await logout(client)).toEqual(AUTH_REQUIRED);
    await client.close();
  }
});
