import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { startProxy, type TcpProxy } from '../support/proxy.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { LIMIT_MS, Storm, tearDown } from './harness/storm.js';

let redis: RedisServer;
let proxy: TcpProxy;

tearDown(async () => {
  await proxy?.stop();
  await redis?.stop();
});

/** What becomes of the way between one gateway and Redis, and how it becomes as it was. */
const TROUBLES: [what: string, trouble: (proxy: TcpProxy) => unknown, end: (proxy: TcpProxy) => unknown][] = [
  [
    'is cut off from Redis',
    async (proxy) => {
      await proxy.refuse(true);
      proxy.cut();
    },
    (proxy) => proxy.refuse(false),
  ],
  ['hears nothing of Redis', (proxy) => proxy.pause('toClient'), (proxy) => proxy.resume()],
  [
    'hears of Redis 300 ms late',
    (proxy) => proxy.delay(300, 'toClient'),
    (proxy) => proxy.delay(0, 'toClient'),
  ],
];

it.each(TROUBLES)(
  'one gateway %s while others are not: nothing acknowledged is lost, nothing is doubled',
  async (_, trouble, end) => {
    redis = await startRedis();
    proxy = await startProxy({ host: '127.0.0.1', port: redis.port });
    const storm = await Storm.begin({ REDIS_URL: redis.url, PARTITIONS: '4' }, redis.client(), { nodes: 2 });
    await storm.addNode({ REDIS_URL: `redis://127.0.0.1:${proxy.port}` });
    await storm.everybodyPlays();
    await storm.again(async () => {
      await trouble(proxy);
      await delay(3000 + storm.random.below(3000)); // longer than a lease
      await end(proxy);
      await storm.everybodyPlays();
    });
    await storm.readiness(true);
    await storm.end({ losesNodes: true });
  },
  LIMIT_MS,
);

it(
  'the subscriptions of gateways break again and again: sessions that operators end meanwhile end',
  async () => {
    redis = await startRedis();
    const storm = await Storm.begin({ REDIS_URL: redis.url, PARTITIONS: '4' }, redis.client());
    const victims = await storm.fleet.seed(20, 'ended');
    const players = await storm.enterQuietly(victims);
    let isOver = false;
    const cutting = (async () => {
      while (!isOver) {
        await storm.fleet.redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
        await delay(storm.random.below(50));
      }
    })();
    for (const { username } of victims) {
      expect(await storm.fleet.cli('logout', username)).toMatchObject({ code: 0 });
    }
    isOver = true;
    await cutting;
    for (const { client } of players) {
      expect(await client.next(10_000)).toEqual({ type: 'logged_out', payload: { reason: 'operator' } });
      await client.close();
    }
    await storm.end();
  },
  LIMIT_MS,
);
