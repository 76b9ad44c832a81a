import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { hashToken } from '../../src/store/ids.js';
import { connect } from '../support/client.js';
import { login, tokenOf } from '../support/conversation.js';
import { PASSWORD, storyOf } from '../support/fleet.js';
import { tempDir } from '../support/guardian.js';
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
    const env = {
      REDIS_URL: redis.url,
      PARTITIONS: '4',
      RESUME_SECONDS: '8',
      TOKEN_TTL_SECONDS: '240',
      GAME_COMMAND: failsOnce(tempDir()),
    };
    const startedAt = Date.now();
    const storm = await Storm.begin(env, redis.client(), { nodes: 1, workers: 0 });
    await storm.addNode(clock('+300s'));
    await storm.addNode(clock('-300s'));
    await storm.addWorker(clock('+300s'));
    await storm.addWorker(clock('-300s'));
    await storm.everybodyPlays(2);
    await storm.expectMatch(); // whose launch is put off once, until a time by the clock of a worker

    // each node issues tokens that expire by Redis' time; see the end of the test
    const accounts = await storm.fleet.seed(storm.nodes.length, 'typist');
    const tokens: string[] = [];
    for (const [i, { wsUrl }] of storm.nodes.entries()) {
      const client = await connect(wsUrl, { isDeaf: true });
      tokens.push(hashToken(tokenOf(await login(client, accounts[i]!.username, PASSWORD))));
      await client.close();
    }

    // a session that is left expires when it should, by Redis' time
    const [left] = await storm.fleet.seed(1, 'left');
    const [player] = await storm.enterQuietly([left!], 1);
    await player!.client.close();
    const events = async () => (await storm.fleet.sessionsOf(left!.token))[0]!;
    await expect
      .poll(async () => storyOf(await events()), { timeout: 30_000, interval: 500 })
      .toBe('started detached:closed expired');
    const [, detachedAt, expiredAt] = (await events()).map(({ id }) => Number.parseInt(id, 10));
    expect(expiredAt! - detachedAt!).toBeGreaterThanOrEqual(8000);
    expect(expiredAt! - detachedAt!).toBeLessThan(FIVE_MINUTES_MS / 2);

    const log = await storm.end();
    expect(log.filter(({ data }) => data.reason === 'node_lost')).toEqual([]);
    const issued = log.filter(
      ({ type, data }) => type === 'token.issued' && tokens.includes(String(data.token)),
    );
    expect(new Set(issued.map(({ node }) => node)).size).toBe(storm.nodes.length);
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

/** A game server that ends at once when it is started for the first time. */
function failsOnce(dir: string): string {
  return `[ -e ${dir}/$MATCH_ID ] && exec sleep 1; touch ${dir}/$MATCH_ID`;
}

/** Settings of a process whose clock is off; how long things take it can tell all the same. */
function clock(offset: string): Record<string, string> {
  return {
    LD_PRELOAD: LIBRARY!,
    FAKETIME: offset,
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    DONT_FAKE_MONOTONIC: '1',
  };
}
