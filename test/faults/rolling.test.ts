import { expect, it } from 'vitest';
import { type RedisServer, startRedis } from '../support/redis.js';
import { LIMIT_MS, Storm, tearDown } from './harness/storm.js';

let redis: RedisServer;

tearDown(() => redis?.stop());

it(
  'all gateways are replaced, one after the other: no session is lost, nothing that was read is left unanswered',
  async () => {
    redis = await startRedis();
    const env = { REDIS_URL: redis.url, PARTITIONS: '4' };
    const storm = await Storm.begin(env, redis.client(), { breaksOff: false });
    let replaced = 0;
    const spreads: number[] = [];
    await storm.again(async () => {
      for (const old of [...storm.nodes]) {
        await storm.addNode();
        const goneBefore = new Set(storm.players.flatMap(({ closes }) => closes));
        old.kill('SIGTERM');
        expect(await old.exited).toEqual({ code: 0, signal: null });
        storm.withdraw(old);
        replaced += 1;

        // the clients were told
        const closes = storm.players
          .flatMap(({ closes }) => closes)
          .filter((close) => !goneBefore.has(close));
        expect(new Set(closes.map(({ code }) => code))).toEqual(new Set([1012]));
        const times = closes.map(({ at }) => at);
        spreads.push(Math.max(...times) - Math.min(...times));
      }
      await storm.everybodyPlays();
    });
    const log = await storm.end({ isExact: true, drains: true, nothingHangs: true });
    expect(replaced).toBeGreaterThanOrEqual(3);
    expect(Math.max(...spreads)).toBeGreaterThan(200); // not all at the same time; nodes may have had few when it was their turn
    const reasons = new Set(log.map(({ data }) => data.reason).filter((reason) => reason !== undefined));
    expect([...reasons]).not.toContain('node_lost');
    expect([...reasons]).toContain('drained');
  },
  LIMIT_MS,
);
