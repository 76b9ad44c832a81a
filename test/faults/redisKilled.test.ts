import { stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { appendOnlyFile, type RedisServer, startRedis } from '../support/redis.js';
import { LIMIT_MS, STEADY_LEASE, Storm, tearDown } from './harness/storm.js';

/**
 * With all those clients Redis writes all the time. If it has not for so long, in ms, it was because the disk had not
 * flushed yet what was to be flushed each second: it goes on for two seconds then without writing.
 */
const POSTPONED_MS = 100;

let redis: RedisServer;

tearDown(() => redis?.stop());

it(
  'Redis is killed and started again: nothing acknowledged and written is lost, nothing is doubled',
  async () => {
    redis = await startRedis({ appendonly: true });
    const env = { REDIS_URL: redis.url, PARTITIONS: '4', ...STEADY_LEASE };
    const storm = await Storm.begin(env, redis.client());
    const unwritten: { from: number; to: number }[] = [];
    await storm.again(async () => {
      await delay(storm.random.below(1000));
      const killedAt = Date.now();
      await redis.kill('SIGKILL');
      const { mtimeMs } = await stat(await appendOnlyFile(redis));
      if (killedAt - mtimeMs > POSTPONED_MS) unwritten.push({ from: mtimeMs, to: killedAt });
      await delay(storm.random.below(2000));
      await redis.start();
      await storm.everybodyPlays();
    });
    await storm.readiness(true);
    const isExcused = (from: number, to: number) =>
      unwritten.some((time) => time.from <= to && from <= time.to);
    const log = await storm.end(unwritten.length > 0 ? { isExcused } : {});
    expect(log.filter(({ data }) => data.reason === 'node_lost')).toEqual([]);
  },
  LIMIT_MS,
);
