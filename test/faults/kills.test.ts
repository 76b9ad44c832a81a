import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { type RedisServer, startRedis } from '../support/redis.js';
import { LIMIT_MS, Storm, tearDown } from './harness/storm.js';

let redis: RedisServer;

tearDown(() => redis?.stop());

it(
  'gateways and workers are killed, again and again: nothing acknowledged is lost, nothing is doubled',
  async () => {
    redis = await startRedis();
    const storm = await Storm.begin({ REDIS_URL: redis.url, PARTITIONS: '4' }, redis.client(), {
      workers: 2,
    });
    let kills = 0;
    await storm.again(async () => {
      await delay(storm.random.below(1500));
      const isWorker = kills > 0 && storm.random.below(3) === 0;
      const processes = isWorker ? storm.workers : storm.nodes;
      const [victim] = processes.splice(storm.random.below(processes.length), 1);
      victim!.kill('SIGKILL');
      kills += 1;
      await (isWorker ? storm.addWorker() : storm.addNode());
    });
    const log = await storm.end({ promisesDie: true });
    expect(kills).toBeGreaterThan(0);
    expect(log.some(({ data }) => data.reason === 'node_lost')).toBe(true);
  },
  LIMIT_MS,
);
