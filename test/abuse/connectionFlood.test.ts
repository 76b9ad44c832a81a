import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type TestClient } from '../support/client.js';
import { logout } from '../support/conversation.js';
import { AUTH_REQUIRED } from '../support/expected.js';
import { REGULARS, Siege } from './harness/siege.js';

const PER_ADDRESS = 30;
const MOST = 100;
const ADDRESSES = 20;

/** At the same time, from each address. */
const AT_ONCE = 10;

const WAVES = 30;

describe('connections beyond the limits, again and again,', () => {
  let siege: Siege;

  beforeAll(async () => {
    siege = await Siege.begin({ CONNECTIONS_PER_ADDRESS: `${PER_ADDRESS}`, MAX_CONNECTIONS: `${MOST}` });
  });

  afterAll(() => siege?.stop());

  const open = (count: number, address: number) => {
    const localAddress = `127.0.7.${address}`;
    return Promise.all(Array.from({ length: count }, () => connect(siege.node.wsUrl, { localAddress })));
  };

  async function expectClosed(clients: readonly TestClient[], code: number): Promise<void> {
    for (const { closed, received } of clients) {
      expect((await closed).code).toBe(code);
      expect(received).toEqual([]);
    }
  }

  it('are closed, those from one address and those from many', async () => {
    const kept: TestClient[] = [];
    await siege.during({ grownMb: 60, slowdown: 20 }, async () => {
      kept.push(...(await open(PER_ADDRESS, 1)));
      for (let wave = 0; wave < WAVES; wave += 1) await expectClosed(await open(AT_ONCE, 1), 1008);

      for (let address = 2; (await siege.others()) < MOST - REGULARS; address += 1) {
        const free = MOST - REGULARS - (await siege.others());
        kept.push(...(await open(Math.min(free, AT_ONCE), address)));
      }
      for (let wave = 0; wave < WAVES; wave += 1) {
        await expectClosed(await open(AT_ONCE, 100 + (wave % ADDRESSES)), 1013);
      }
    });
    expect(await siege.others()).toBe(MOST - REGULARS);
    for (const client of kept) expect(await logout(client)).toEqual(AUTH_REQUIRED);
    await Promise.all(kept.map((client) => client.close()));
    await siege.untilOthersAre(0);
    const [newcomer] = await open(1, 1);
    expect(await logout(newcomer!)).toEqual(AUTH_REQUIRED);
  });
});
