import { readdir, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, expect, it } from 'vitest';
import { connectRedis, type RedisClient } from '../../src/redis/client.js';
import { FreshFile } from '../../src/redis/freshFile.js';
import { eventually } from '../support/eventually.js';
import { type RedisServer, startRedis } from '../support/redis.js';

const TRANSACTION = "redis.call('SET', KEYS[1], 'x') redis.call('SET', KEYS[2], 'x')";

let redis: RedisServer;
let client: RedisClient;
let freshFile: FreshFile | undefined;

afterEach(async () => {
  freshFile?.close();
  client.close();
  await redis.stop();
});

/** The power fails in the middle of writing a transaction; then another one is done, and Redis is started once more. */
async function failTwice(whileItRuns: () => Promise<void>): Promise<void> {
  redis = await startRedis({ appendonly: true });
  const logger = pino({ level: 'silent' });
  client = connectRedis(
    { kind: 'single', url: redis.url, tls: false },
    { name: 'test', logger, silenceTimeoutMs: 0, patient: true },
  );
  await client.raw.eval(TRANSACTION, 2, 'a', 'lost');
  await redis.kill('SIGKILL');
  const folder = join(redis.dir, 'appendonlydir');
  const file = join(folder, (await readdir(folder)).find((name) => name.endsWith('.incr.aof'))!);
  await truncate(file, (await stat(file)).size - 30); // in the middle of its second command
  await redis.start();
  expect(await client.raw.exists('a', 'lost')).toBe(0);
  await whileItRuns();
  await client.raw.eval(TRANSACTION, 2, 'b', 'c');
  await redis.kill('SIGKILL');
  await redis.start();
  expect(await client.raw.exists('b', 'c')).toBe(2);
}

it('a torn transaction is gone for good when the file has been written anew', async () => {
  await failTwice(async () => {
    freshFile = new FreshFile(client, pino({ level: 'silent' }));
    freshFile.start();
    await eventually(async () => {
      expect(await client.raw.info('persistence')).toMatch(/aof_last_rewrite_time_sec:[0-9]/);
    });
  });
  expect(await client.raw.exists('a', 'lost')).toBe(0);
});
