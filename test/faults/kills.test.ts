import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { NodeProcess } from '../support/processes.js';
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
    const kill = async (processes: NodeProcess[], replace: () => Promise<NodeProcess>) => {
      const [victim] = processes.splice(storm.random.below(processes.length), 1);
      victim!.kill('SIGKILL');
      await replace();
    };
    let workersKilled = 0;
    await storm.again(async () => {
      await delay(storm.random.below(1500));
      await kill(storm.nodes, () => storm.addNode());
      if (workersKilled > 0 && storm.random.below(2) === 0) return;
      await delay(storm.random.below(1500));
      await kill(storm.workers, () => storm.addWorker());
      workersKilled += 1;
    });
    const log = await storm.end({ promisesDie: true, losesNodes: true, nothingHangs: true });
    expect(log.some(({ data }) => data.reason === 'node_lost')).toBe(true);
  },
  LIMIT_MS,
);
