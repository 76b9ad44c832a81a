import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { type RedisServer, startRedis } from '../support/redis.js';
import { LIMIT_MS, Storm, tearDown } from './harness/storm.js';

const HANGS_MS = 20_000;

let redis: RedisServer;

tearDown(() => redis?.stop());

it(
  'Redis hangs without closing connections: everything goes on when it does',
  async () => {
    redis = await startRedis();
    const storm = await Storm.begin({ REDIS_URL: redis.url, PARTITIONS: '4' }, redis.client());
    await redis.pause();
    const hanging = delay(HANGS_MS);
    await storm.readiness(false);
    await hanging;
    redis.resume();
    await storm.readiness(true);
    await storm.everybodyPlays(2);
    await storm.expectMatch();
    const log = await storm.end();
    expect(log.filter(({ data }) => data.reason === 'node_lost')).toEqual([]); // an outage of Redis reaps nobody
  },
  LIMIT_MS,
);
