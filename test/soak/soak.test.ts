import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { LIMIT_MS, Storm, tearDown } from '../faults/harness/storm.js';
import type { NodeProcess } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';

/** How long it takes: `SOAK_MINUTES`. */
const DURATION_MS = Number(process.env.SOAK_MINUTES) * 60_000;

/** Samples over the whole time. */
const SAMPLES = 100;

/** Players take their time: this is about what stays, not about speed. */
const PACE = 8;

/** What a figure may be more at the end than after the first fifth: a share of it, and a little. */
const GROWTH = { megabytes: [1.15, 15], files: [1.1, 20], keys: [1.1, 50] } as const;

let redis: RedisServer;

tearDown(() => redis?.stop());

it(
  'after a long time of coming and going, nodes have the memory and files, and Redis the keys, that they had',
  async () => {
    redis = await startRedis();
    const env = { REDIS_URL: redis.url, PARTITIONS: '4' };
    const storm = await Storm.begin(env, redis.client(), { pace: PACE });
    const figures: Record<string, number[]> = {};
    const note = (name: string, figure: number) => {
      figures[name] ??= [];
      figures[name].push(figure);
    };
    for (let sample = 0; sample < SAMPLES; sample += 1) {
      await delay(DURATION_MS / SAMPLES);
      for (const [i, process] of [...storm.nodes, ...storm.workers].entries()) {
        note(`megabytes of process ${i}`, await megabytesOf(process));
        note(`files of process ${i}`, (await readdir(`/proc/${process.pid}/fd`)).length);
      }
      note('keys in Redis', await storm.fleet.redis.dbsize());
      note('events in the log', await eventsOf(storm));
    }
    await storm.end();

    const rows = Object.entries(figures).map(([name, samples]) => {
      const fifth = SAMPLES / 5;
      return { name, before: median(samples.slice(fifth, 2 * fifth)), after: median(samples.slice(-fifth)) };
    });
    console.table(rows);
    for (const { name, before, after } of rows) {
      const [share, little] = Object.entries(GROWTH).find(([unit]) => name.startsWith(unit))?.[1] ?? [
        Infinity,
        0,
      ];
      expect(after, name).toBeLessThanOrEqual(before * share + little);
    }
  },
  LIMIT_MS + DURATION_MS * 2,
);

async function megabytesOf({ pid }: NodeProcess): Promise<number> {
  const [, kilobytes] = /^VmRSS:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))!;
  return Math.round(Number(kilobytes) / 1024);
}

async function eventsOf({ fleet: { redis, env } }: Storm): Promise<number> {
  let events = 0;
  for (let partition = 0; partition < Number(env.PARTITIONS); partition += 1) {
    events += await redis.xlen(`${env.KEY_PREFIX}{${partition}}:log`);
  }
  return events;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]!;
}
