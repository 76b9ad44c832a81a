import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { type RedisServer, startRedis } from '../support/redis.js';
import { LIMIT_MS, Storm, tearDown } from './harness/storm.js';

let redis: RedisServer;

tearDown(() => redis?.stop());

it(
  'Redis is killed and started again: nothing acknowledged is lost, nothing is doubled',
  async () => {
    redis = await startRedis({ appendonly: true });
    const storm = await Storm.begin({ REDIS_URL: redis.url, PARTITIONS: '4' }, redis.client());
    await storm.again(async () => {
      await delay(storm.random.below(1000));
      await redis.kill('SIGKILL');
      await delay(storm.random.below(2000));
      await redis.start();
      await storm.everybodyPlays();
    });
    await storm.readiness(true);
    const log = await storm.end();
    expect(log.filter(({ data }) => data.reason === 'node_lost')).toEqual([]);
  },
  LIMIT_MS,
);
