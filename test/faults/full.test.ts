import { spawnSync } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { connect } from '../support/client.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { LIMIT_MS, Storm, tearDown } from './harness/storm.js';

const FULL_MS = 5000;

let redis: RedisServer;

tearDown(() => redis?.stop());

interface Filling {
  readonly what: string;
  start(): Promise<RedisServer>;
  fill(redis: RedisServer): Promise<unknown>;
  empty(redis: RedisServer): Promise<unknown>;
}

/** Mounting a disk takes root's rights. */
const CAN_MOUNT = process.getuid?.() === 0 && spawnSync('unshare', ['--mount', 'true']).status === 0;

const FILLINGS: Filling[] = [
  {
    what: 'memory',
    start: () => startRedis(),
    fill: (redis) => redis.client().config('SET', 'maxmemory', '1mb'),
    empty: (redis) => redis.client().config('SET', 'maxmemory', '0'),
  },
  {
    what: 'disk',
    start: () => startRedis({ appendonly: true, diskBytes: 64 * 2 ** 20 }),
    fill: (redis) => writeFile(ballast(redis), Buffer.alloc(128 * 2 ** 20)).catch(() => {}), // as much as there is room for
    empty: (redis) => rm(ballast(redis)),
  },
];

it.each(FILLINGS.filter(({ what }) => what !== 'disk' || CAN_MOUNT))(
  'the $what of Redis is full: changes are refused, the rest goes on, and all does when there is room again',
  async ({ start, fill, empty }) => {
    redis = await start();
    const storm = await Storm.begin({ REDIS_URL: redis.url, PARTITIONS: '4' }, redis.client());
    const [one] = await storm.fleet.seed(1, 'one');
    const [player] = await storm.enterQuietly([one!]);
    const stranger = await connect(storm.nodes[1]!.wsUrl, { isDeaf: true });

    await fill(redis);
    await delay(FULL_MS);
    expect(await player!.client.request({ type: 'count' })).toMatchObject({ type: 'player_count' });
    const attempt = { type: 'token_auth', payload: { token: one!.token } };
    expect(await stranger.request(attempt, 20_000)).toEqual({
      type: 'auth_error',
      payload: { message: 'Service unavailable, try again later' },
    });
    await storm.readiness(false, storm.nodes);
    for (const { adminUrl } of storm.nodes) expect((await fetch(`${adminUrl}/livez`)).status).toBe(200);
    await empty(redis);

    await storm.readiness(true);
    expect(await stranger.request(attempt, 20_000)).toMatchObject({ type: 'auth_success' });
    expect(await player!.client.request({ type: 'logout' }, 20_000)).toEqual({ type: 'logged_out' });
    await Promise.all([player!.client.close(), stranger.close()]);
    await storm.expectMatch();
    const log = await storm.end();
    expect(log.filter(({ data }) => data.reason === 'node_lost')).toEqual([]);
  },
  LIMIT_MS,
);

/** A file on the disk of Redis, which only Redis' own processes see. */
function ballast({ pid, dir }: RedisServer): string {
  return join(`/proc/${pid}/root`, dir, 'disk', 'ballast');
}
