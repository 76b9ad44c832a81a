import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../support/client.js';
import { authError } from '../support/expected.js';
import { type Account, PASSWORD } from '../support/fleet.js';
import { REGULARS, Siege } from './harness/siege.js';

const ATTACKERS = 100;
const QUEUE = 20;
const DURATION_MS = 5000;

const UNAVAILABLE = authError('Service unavailable, try again later');

describe('a flood of logins by password', () => {
  let siege: Siege;

  beforeAll(async () => {
    const env = { HASH_CONCURRENCY: '1', HASH_QUEUE: `${QUEUE}`, TOKENS_PER_ACCOUNT: '1' };
    siege = await Siege.begin(env, ATTACKERS);
  });

  afterAll(() => siege?.stop());

  it('is refused what is too much, and holds up nobody who comes with a token', async () => {
    let [passed, refused, mostQueued] = [0, 0, 0];
    await siege.during({ grownMb: 100, slowdown: 10 }, async () => {
      const end = performance.now() + DURATION_MS;
      const isOver = () => performance.now() > end;
      const attack = async ({ username }: Account) => {
        const client = await connect(siege.node.wsUrl);
        const payload = { username, password: PASSWORD };
        while (!isOver()) {
          const answer = await client.request({ type: 'login', payload }, 30_000);
          if (answer.type === 'auth_success') {
            passed += 1;
            continue;
          }
          expect(answer).toEqual(UNAVAILABLE);
          refused += 1;
          await delay(50); // not to test how fast it can refuse
        }
        await client.close();
      };
      const watch = async () => {
        while (!isOver()) {
          const queued = await siege.metric('openchamp_password_hashings_waiting');
          mostQueued = Math.max(mostQueued, queued);
          await delay(20);
        }
      };
      await Promise.all([...siege.accounts.map(attack), watch()]);
    });
    // each login has issued a token, and the one before is gone
    expect(await siege.fleet.keys('*}:token:*')).toHaveLength(ATTACKERS + REGULARS);
    expect(passed).toBeGreaterThan(0);
    expect(refused).toBeGreaterThan(0);
    expect(mostQueued).toBeGreaterThan(QUEUE / 2);
    expect(mostQueued).toBeLessThanOrEqual(QUEUE);
  });
});
