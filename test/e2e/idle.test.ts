import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../support/client.js';
import { tokenAuth } from '../support/conversation.js';
import { SOON, UNKNOWN_TYPE } from '../support/expected.js';
import { Fleet, storyOf } from '../support/fleet.js';
import { type RedisServer, startRedis } from '../support/redis.js';

describe('an idle connection', () => {
  let redis: RedisServer;
  let fleet: Fleet;

  beforeAll(async () => {
    redis = await startRedis();
    fleet = new Fleet({ REDIS_URL: redis.url, IDLE_SECONDS: '8' }, redis.client());
  });

  afterAll(async () => {
    await fleet?.stop();
    await redis?.stop();
  });

  it('is dropped when it answers no pings, and its session detached; one that answers them stays', async () => {
    const { wsUrl } = await fleet.serve();
    const accounts = await fleet.seed(2);
    const [deaf, alive] = await Promise.all([connect(wsUrl, { autoPong: false }), connect(wsUrl)]);
    let pings = 0;
    alive.ws.on('ping', () => {
      pings += 1;
    });
    const [ofDeaf, ofAlive] = accounts.map(({ token }) => token) as [string, string];
    expect((await tokenAuth(deaf, ofDeaf)).type).toBe('auth_success');
    expect((await tokenAuth(alive, ofAlive)).type).toBe('auth_success');
    await deaf.closed;
    await expect
      .poll(async () => (await fleet.sessionsOf(ofDeaf)).map(storyOf), SOON)
      .toEqual(['started detached:closed']);
    await expect.poll(() => pings, { timeout: 20_000 }).toBeGreaterThan(2);
    expect(await alive.request({ type: 'x' })).toEqual(UNKNOWN_TYPE);
    expect((await fleet.sessionsOf(ofAlive)).map(storyOf)).toEqual(['started']);
  });
});
