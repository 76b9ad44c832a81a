import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Leases } from '../../src/cluster/lease.js';
import { connectRedis, type RedisClient } from '../../src/redis/client.js';
import { RedisClock } from '../../src/redis/clock.js';
import { Keys } from '../../src/redis/keys.js';
import { eventually } from '../support/eventually.js';
import { uniquePrefix } from '../support/prefix.js';
import { startProxy, type TcpProxy } from '../support/proxy.js';
import { type RedisServer, startRedis } from '../support/redis.js';

const NODE = 'node-1';

const logger = pino({ level: 'silent' });

let redis: RedisServer;
let proxy: TcpProxy;
let client: RedisClient;
let keys: Keys;
let leases: Leases;
let losses: number;

beforeEach(async () => {
  redis = await startRedis();
  proxy = await startProxy({ host: '127.0.0.1', port: redis.port });
  client = connectRedis(
    { kind: 'single', url: `redis://127.0.0.1:${proxy.port}`, tls: false },
    { name: 'test', logger, silenceTimeoutMs: 0 },
  );
  await client.ready(5000);
  keys = new Keys(uniquePrefix(), 4);
  losses = 0;
  leases = new Leases({
    redis: client,
    keys,
    node: NODE,
    leaseMs: 300,
    clock: new RedisClock(),
    logger,
    report: () => ({ connections: 0, sessions: 0, draining: false }),
    onLost: () => {
      losses += 1;
    },
  });
  await leases.start();
});

afterEach(async () => {
  await leases.release();
  client.close();
  await proxy.stop();
  await redis.stop();
});

it('a lease that had run out is noticed, although the rest of its renewal fails', async () => {
  await client.raw.acl('SETUSER', 'default', '-zadd');
  await eventually(async () => {
    await client.raw.del(keys.lease(NODE));
    expect(losses).toBeGreaterThan(0);
  });
});

it('a lease that had run out is noticed, although the answer that said so is lost', async () => {
  proxy.pause('toClient');
  await redis.client().del(keys.lease(NODE));
  await eventually(() => redis.client().exists(keys.lease(NODE)));
  await eventually(() => leases.isOverdue);
  proxy.cut();
  proxy.resume();
  await eventually(() => !leases.isOverdue);
  expect(losses).toBe(1);
});

it('a Redis that has lost its data learns again how many partitions there are', async () => {
  await client.raw.flushall();
  await eventually(async () => expect(await client.raw.get(keys.partitionCount())).toBe('4'));
});
