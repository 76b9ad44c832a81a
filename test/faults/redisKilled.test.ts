import { appendFile, readdir, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { LIMIT_MS, Storm, tearDown } from './harness/storm.js';

/** What `appendfsync everysec` may lose when the power fails, in ms: the file is flushed about every second. */
const UNFLUSHED_MS = 1000;

/** How long Redis puts off a write while the file is being flushed, in ms; it answers nevertheless. */
const PUT_OFF_MS = 2000;

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

it(
  'the power fails with appendfsync everysec: what is lost is of the last seconds, nothing is corrupt or stuck',
  async () => {
    redis = await startRedis({ appendonly: true });
    const storm = await Storm.begin({ REDIS_URL: redis.url, PARTITIONS: '4' }, redis.client());
    const gaps: { from: number; to: number }[] = [];
    await storm.again(async () => {
      await writtenAnew(redis);
      const file = new GrowingFile(await appendOnlyFile(redis));
      await delay(UNFLUSHED_MS + 500 + storm.random.below(1000));
      await redis.kill('SIGKILL');
      // cut back to what was there a second ago, in the middle of whatever was being written then
      const { at, size } = file.sizeAt(performance.now() - UNFLUSHED_MS);
      file.close();
      await truncate(file.path, size - 3);
      await redis.start();
      gaps.push({ from: at - PUT_OFF_MS - 100, to: performance.now() });
      await storm.everybodyPlays();
    });
    await storm.readiness(true);
    await storm.end({ isExcused: (time) => gaps.some(({ from, to }) => from <= time && time <= to) });
  },
  LIMIT_MS,
);

it(
  'the power fails with appendfsync always: nothing acknowledged is lost',
  async () => {
    redis = await startRedis({ appendonly: true, args: ['--appendfsync', 'always'] });
    const storm = await Storm.begin({ REDIS_URL: redis.url, PARTITIONS: '4' }, redis.client());
    await storm.again(async () => {
      await writtenAnew(redis);
      await delay(storm.random.below(1000));
      await redis.kill('SIGKILL');
      await appendFile(await appendOnlyFile(redis), '*3\r\n$3\r\nSET\r\n$7\r\noc:torn'); // of what was not acknowledged yet, a part was written
      await redis.start();
      await storm.everybodyPlays();
    });
    await storm.readiness(true);
    await storm.end();
  },
  LIMIT_MS,
);

/** The file that what is written now goes to. */
async function appendOnlyFile({ dir }: RedisServer): Promise<string> {
  const folder = join(dir, 'appendonlydir');
  return join(folder, (await readdir(folder)).findLast((name) => name.endsWith('.incr.aof'))!);
}

/** Waits until a worker has seen to it that there is no torn transaction in the append-only file any more. */
async function writtenAnew(redis: RedisServer): Promise<void> {
  const client = redis.client();
  const isWritten = async () => /^aof_last_rewrite_time_sec:[0-9]/m.test(await client.info('persistence'));
  await eventually(isWritten, { message: 'the append-only file is written anew' });
  client.disconnect();
}

/** Remembers how large a file was when. */
class GrowingFile {
  private readonly sizes: { readonly at: number; readonly size: number }[] = [];
  private readonly timer: NodeJS.Timeout;

  constructor(readonly path: string) {
    this.timer = setInterval(async () => {
      const at = performance.now();
      const { size } = await stat(path);
      this.sizes.push({ at, size });
    }, 20);
  }

  /** The last look at it before a time, or the first one. */
  sizeAt(time: number): { readonly at: number; readonly size: number } {
    return this.sizes.findLast(({ at }) => at <= time) ?? this.sizes[0]!;
  }

  close(): void {
    clearInterval(this.timer);
  }
}
