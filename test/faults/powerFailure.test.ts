import { stat, truncate } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import { Fsyncs, HAS_COMPILER, type Synced } from '../support/fsyncs.js';
import { appendOnlyFile, type RedisServer, startRedis } from '../support/redis.js';
import { LIMIT_MS, STEADY_LEASE, Storm, tearDown } from './harness/storm.js';

/** `appendfsync everysec` flushes about every second. */
const UNFLUSHED_MS = 1000;

let redis: RedisServer;

tearDown(() => redis?.stop());

it.skipIf(!HAS_COMPILER)(
  'the power fails with appendfsync everysec: what was acknowledged after the last fsync is lost, nothing is corrupt or stuck',
  async () => {
    const fsyncs = new Fsyncs();
    redis = await startRedis({ appendonly: true, env: fsyncs.env });
    const env = { REDIS_URL: redis.url, PARTITIONS: '4', ...STEADY_LEASE };
    const storm = await Storm.begin(env, redis.client());
    const gaps: { from: number; to: number }[] = [];
    let lost = 0;
    await storm.again(async () => {
      await writtenAnew(redis);
      await delay(UNFLUSHED_MS + storm.random.below(1000));
      // of what was not flushed, some may be on the disk all the same, up to the middle of whatever was being written
      const { upTo, bytes } = await powerFails(fsyncs, (bytes) => storm.random.below(bytes));
      lost += bytes;
      await redis.start();
      gaps.push({ from: upTo, to: Date.now() });
      await storm.everybodyPlays();
    });
    await storm.readiness(true);
    const isExcused = (from: number, to: number) => gaps.some((gap) => gap.from <= to && from <= gap.to);
    await storm.end({ isExcused });
    expect(lost).toBeGreaterThan(0);
  },
  LIMIT_MS,
);

it.skipIf(!HAS_COMPILER)(
  'the power fails with appendfsync always: nothing acknowledged is lost',
  async () => {
    const fsyncs = new Fsyncs();
    redis = await startRedis({ appendonly: true, args: ['--appendfsync', 'always'], env: fsyncs.env });
    const env = { REDIS_URL: redis.url, PARTITIONS: '4', ...STEADY_LEASE };
    const storm = await Storm.begin(env, redis.client());
    await storm.again(async () => {
      await writtenAnew(redis);
      await delay(storm.random.below(1000));
      await powerFails(fsyncs, () => 0);
      await redis.start();
      await storm.everybodyPlays();
    });
    await storm.readiness(true);
    await storm.end();
  },
  LIMIT_MS,
);

/**
 * Kills Redis, and cuts its append-only file back to the last fsync.
 * @param kept how many of the bytes behind that are on the disk all the same
 * @returns what is left, and how many bytes are not
 */
async function powerFails(
  fsyncs: Fsyncs,
  kept: (bytes: number) => number,
): Promise<Synced & { readonly bytes: number }> {
  await redis.kill('SIGKILL');
  const file = await appendOnlyFile(redis);
  const { size, upTo } = await fsyncs.lastOf(file);
  const unflushed = (await stat(file)).size - size;
  const left = size + kept(unflushed + 1);
  await truncate(file, left);
  return { size: left, upTo, bytes: size + unflushed - left };
}

/** Waits until a worker has seen to it that there is no torn transaction in the append-only file any more. */
async function writtenAnew(redis: RedisServer): Promise<void> {
  const client = redis.client();
  const isWritten = async () => /^aof_last_rewrite_time_sec:[0-9]/m.test(await client.info('persistence'));
  await eventually(isWritten, { message: 'the append-only file is written anew' });
  client.disconnect();
}
