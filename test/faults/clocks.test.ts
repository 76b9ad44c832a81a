import { spawnSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { storyOf } from '../support/fleet.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { LIMIT_MS, Storm, tearDown } from './harness/storm.js';

const FIVE_MINUTES_MS = 5 * 60_000;

/** Debian's `faketime`: the library that a process is to load. */
const LIBRARY = spawnSync('faketime', ['-f', '+0', 'printenv', 'LD_PRELOAD'], {
  encoding: 'utf8',
}).stdout?.trim();

let redis: RedisServer;

tearDown(() => redis?.stop());

it.skipIf(!LIBRARY)(
  'the clocks of a gateway and a worker are five minutes off: nothing depends on them',
  async () => {
    redis = await startRedis();
    const env = { REDIS_URL: redis.url, PARTITIONS: '4', RESUME_SECONDS: '8', TOKEN_TTL_SECONDS: '240' };
    const startedAt = Date.now();
    const storm = await Storm.begin(env, redis.client(), { nodes: 1, workers: 0 });
    await storm.addNode(clock('+300s'));
    await storm.addNode(clock('-300s'));
    await storm.addWorker(clock('+300s'));
    await storm.addWorker(clock('-300s'));
    await storm.everybodyPlays(2);
    await storm.expectMatch();

    // a session that is left expires when it should, by Redis' time
    const [left] = await storm.fleet.seed(1, 'left');
    const [player] = await storm.enterQuietly([left!], 1);
    await player!.client.close();
    const leftAt = performance.now();
    const story = async () => storyOf((await storm.fleet.sessionsOf(left!.token))[0]!);
    await delay(4000);
    expect(await story()).toBe('started detached:closed');
    await expect.poll(story, { timeout: 20_000 }).toBe('started detached:closed expired');
    expect(performance.now() - leftAt).toBeGreaterThan(7500);

    const log = await storm.end();
    expect(log.filter(({ data }) => data.reason === 'node_lost')).toEqual([]);
    for (const { id, type, data } of log) {
      const time = Number.parseInt(id, 10);
      expect(time).toBeGreaterThan(startedAt - FIVE_MINUTES_MS / 2);
      expect(time).toBeLessThan(Date.now() + FIVE_MINUTES_MS / 2);
      if (type === 'token.issued')
        expect(Math.abs(Number(data.expiresAt) - time - 240_000)).toBeLessThan(60_000);
    }
  },
  LIMIT_MS,
);

/** Settings of a process whose clock is off; how long things take it can tell all the same. */
function clock(offset: string): Record<string, string> {
  return {
    LD_PRELOAD: LIBRARY!,
    FAKETIME: offset,
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    DONT_FAKE_MONOTONIC: '1',
  };
}
