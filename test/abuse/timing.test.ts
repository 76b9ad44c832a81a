import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type TestClient } from '../support/client.js';
import { login } from '../support/conversation.js';
import { authError } from '../support/expected.js';
import { Fleet } from '../support/fleet.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { median } from './harness/siege.js';

const PAIRS = 60;

describe('the time of a failed login', () => {
  let redis: RedisServer;
  let fleet: Fleet;
  let client: TestClient;

  beforeAll(async () => {
    redis = await startRedis();
    fleet = new Fleet({ REDIS_URL: redis.url }, redis.client());
    client = await connect((await fleet.serve()).wsUrl);
  });

  afterAll(async () => {
    await fleet?.stop();
    await redis?.stop();
  });

  /** How long a failed login takes, in ms. */
  async function timeOf(username: string, password: string): Promise<number> {
    const startedAt = performance.now();
    expect(await login(client, username, password)).toEqual(authError('Invalid username or password'));
    return performance.now() - startedAt;
  }

  it.each([
    ['a wrong password', 'not the password'],
    ['a password that nobody can have', 'x'.repeat(1000)],
  ])('with %s does not tell whether there is such a user', async (_, password) => {
    const [{ username } = { username: '' }] = await fleet.seed(1, `user-${password.length}-`);
    const [known, unknown]: [number[], number[]] = [[], []];
    for (let i = 0; i < PAIRS; i += 1) {
      const samples = [
        () => timeOf(username, password).then((time) => known.push(time)),
        () => timeOf(`nobody-${i}`, password).then((time) => unknown.push(time)),
      ];
      if (i % 2 === 0) samples.reverse(); // whoever comes first has no advantage
      for (const sample of samples) await sample();
    }
    const ratio = median(known) / median(unknown);
    expect(ratio).toBeGreaterThan(0.6);
    expect(ratio).toBeLessThan(1.6);
  });
});
