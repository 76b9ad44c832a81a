import { spawnSync } from 'node:child_process';
import { stat, truncate } from 'node:fs/promises';
import { pino } from 'pino';
import { afterEach, expect, it } from 'vitest';
import { connectRedis, type RedisClient } from '../../src/redis/client.js';
import { FreshFile } from '../../src/redis/freshFile.js';
import { eventually } from '../support/eventually.js';
import { appendOnlyFile, type RedisServer, startRedis } from '../support/redis.js';

const TRANSACTION = "redis.call('SET', KEYS[1], 'x') redis.call('SET', KEYS[2], 'x')";

const logger = pino({ level: 'silent' });

let redis: RedisServer;
let client: RedisClient;
let freshFile: FreshFile | undefined;

afterEach(async () => {
  freshFile?.close();
  client.close();
  await redis.stop();
});

async function start(args: readonly string[] = [], patient = true): Promise<void> {
  redis = await startRedis({ appendonly: true, args });
  client = connectRedis(
    { kind: 'single', url: redis.url, tls: false },
    { name: 'test', logger, silenceTimeoutMs: 0, patient },
  );
  await client.ready(5000);
}

/** The power fails in the middle of writing a transaction; then another one is done, and Redis is started once more. */
async function failTwice(whileItRuns: () => Promise<void>): Promise<void> {
  await start();
  await client.raw.eval(TRANSACTION, 2, 'a', 'lost');
  await redis.kill('SIGKILL');
  const file = await appendOnlyFile(redis);
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
    freshFile = new FreshFile(client, logger);
    freshFile.start();
    await eventually(async () => {
      expect(await client.raw.info('persistence')).toMatch(/aof_last_rewrite_time_sec:[0-9]/);
    });
  });
  expect(await client.raw.exists('a', 'lost')).toBe(0);
});

it('a file that could not be written anew is written anew later', async () => {
  await start();
  await client.raw.config('SET', 'rdb-key-save-delay', 10_000_000); // µs for each key: it takes long
  await client.raw.set('a', 'x');
  freshFile = new FreshFile(client, logger, 0);
  freshFile.start();
  const child = await eventually(() => childOf(redis.pid));
  await client.raw.config('SET', 'rdb-key-save-delay', 0);
  process.kill(child, 'SIGKILL');
  await eventually(async () => {
    const info = await client.raw.info('persistence');
    expect(info).toMatch(/aof_last_bgrewrite_status:ok/);
    expect(info).toMatch(/aof_last_rewrite_time_sec:[0-9]/);
  });
});

it('a file that takes long to load is written anew when it is loaded', async () => {
  // µs for each key; after 1024 of them it sees whether anybody asks it something
  await start(['--key-load-delay', '1000'], false);
  await Promise.all(Array.from({ length: 5000 }, (_, i) => client.raw.set(`key:${i}`, 'x')));
  freshFile = new FreshFile(client, logger);
  freshFile.start();
  await redis.restart();
  await eventually(async () => {
    expect(await client.raw.info('persistence')).toMatch(/aof_last_rewrite_time_sec:[0-9]/);
  });
});

/** The process that a server has forked to write its file; 0 if there is none. */
function childOf(pid: number): number {
  return Number(spawnSync('ps', ['-o', 'pid=', '--ppid', `${pid}`], { encoding: 'utf8' }).stdout);
}
