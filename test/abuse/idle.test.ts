import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TestClient } from '../support/client.js';
import { UNKNOWN_TYPE } from '../support/expected.js';
import { storyOf } from '../support/fleet.js';
import { enter } from '../support/players.js';
import { Siege } from './harness/siege.js';

const GONE = 100;

describe('connections whose clients are gone without a word', () => {
  let siege: Siege;

  beforeAll(async () => {
    siege = await Siege.begin({ IDLE_SECONDS: '8' }, GONE + 1);
  });

  afterAll(() => siege?.stop());

  it('are dropped when they answer no pings, and their sessions detached; one that answers them stays', async () => {
    const [ofAlive, ...ofGone] = siege.accounts;
    const alive = await enter(siege.node, ofAlive!);
    let pings = 0;
    alive.client.ws.on('ping', () => {
      pings += 1;
    });
    const gone: TestClient[] = [];
    await siege.during({ grownMb: 30, slowdown: 20 }, async () => {
      for (const account of ofGone) {
        gone.push((await enter(siege.node, account, false, { autoPong: false })).client);
      }
      await Promise.all(gone.map(({ closed }) => closed));
    });
    await siege.untilOthersAre(1);
    for (const { token } of ofGone) {
      const stories = async () => (await siege.fleet.sessionsOf(token)).map(storyOf);
      await expect.poll(stories).toEqual(['started detached:closed']);
    }
    await expect.poll(() => pings, { timeout: 20_000 }).toBeGreaterThan(2);
    expect(await alive.client.request({ type: 'x' })).toEqual(UNKNOWN_TYPE);
    expect((await siege.fleet.sessionsOf(ofAlive!.token)).map(storyOf)).toEqual(['started']);
  });
});
