import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectRaw } from '../support/rawClient.js';
import { Siege } from './harness/siege.js';

const CROWD = 10_000;
const AT_ONCE = 100;
const KB_EACH = 10;

/** Longer than it takes all of them to come. */
const AUTH_SECONDS = 30;

const LIMIT_MS = 120_000;

describe('ten thousand connections that do not authenticate', () => {
  let siege: Siege;

  beforeAll(async () => {
    siege = await Siege.begin({ AUTH_SECONDS: `${AUTH_SECONDS}` });
  });

  afterAll(() => siege?.stop());

  it(
    'are there at the same time, cost little, and are all closed in time; the well-behaved stay',
    async () => {
      const closeCodes = new Map<number, number>();
      let most = 0; // at the same time
      await siege.during({ grownMb: (CROWD * KB_EACH) / 1024, slowdown: 20 }, async () => {
        const closings: Promise<void>[] = [];
        while (closings.length < CROWD) {
          const arriving = Array.from({ length: AT_ONCE }, () => connectRaw(siege.node.wsUrl));
          for (const { closed } of await Promise.all(arriving)) {
            closings.push(
              closed.then(({ code }) => void closeCodes.set(code, (closeCodes.get(code) ?? 0) + 1)),
            );
          }
        }
        most = await siege.others();
        await Promise.all(closings);
        await siege.untilOthersAre(0);
      });
      expect(most).toBeGreaterThan(CROWD * 0.99);
      expect(Object.fromEntries(closeCodes)).toEqual({ 4002: CROWD });
    },
    LIMIT_MS,
  );
});
