import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connectRedis, type RedisClient } from '../../src/redis/client.js';
import { type RedisServer, startRedis } from '../support/redis.js';

let redis: RedisServer;
let client: RedisClient;

beforeAll(async () => {
  // it takes its time to load a key, in µs
  redis = await startRedis({ appendonly: true, args: ['--key-load-delay', '1000'] });
  const logger = pino({ level: 'silent' });
  client = connectRedis(
    { kind: 'single', url: redis.url, tls: false },
    { name: 'test', logger, silenceTimeoutMs: 5000, pipelining: true },
  );
  await client.ready(5000);
});

afterAll(async () => {
  client?.close();
  await redis?.stop();
});

it('a script that is called for the first time among other commands is called, and breaks nothing', async () => {
  for (let i = 0; i < 20; i += 1) {
    const before = client.raw.set(`a${i}`, i);
    const called = client.script(`script${i}`, `return 'called ' .. KEYS[1]`)(1, `a${i}`);
    const after = client.raw.get(`a${i}`);
    expect(await Promise.all([before, called, after])).toEqual(['OK', `called a${i}`, String(i)]);
  }
});

it('a script is loaded again by a server that has forgotten it', async () => {
  const script = client.script('forgotten', 'return ARGV[1]');
  expect(await script(1, 'k', 'x')).toBe('x');
  await client.raw.script('FLUSH');
  expect(await Promise.all([script(1, 'k', 'y'), script(1, 'k', 'z')])).toEqual(['y', 'z']);
});

it('is ready soon when Redis has loaded its data, however long that thought it would take', async () => {
  // it answers after each 1024 keys, and what is large comes last
  const own = redis.client();
  for (let i = 0; i < 2500; i += 1) void own.set(`small:${i}`, 'x');
  for (let i = 0; i < 20; i += 1) await own.set(`large:${i}`, 'x'.repeat(1_000_000));
  await redis.restart();
  await client.ready(3000);
});
