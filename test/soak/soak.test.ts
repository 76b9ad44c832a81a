import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { parseInfo } from '../../src/redis/info.js';
import { LIMIT_MS, Storm, tearDown } from '../faults/harness/storm.js';
import { eventually } from '../support/eventually.js';
import type { NodeProcess } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';

/** How long it takes: `SOAK_MINUTES`. */
const DURATION_MS = Number(process.env.SOAK_MINUTES) * 60_000;

/** Samples over the whole time. */
const SAMPLES = 100;

/** Players take their time: this is about what stays, not about speed. */
const PACE = 8;

/** Accounts that are registered between two samples. */
const REGISTRATIONS = 5;

/** By how much the trend of a figure may rise from the first fifth to the end: a share of what it is, and a little. */
const GROWTH = {
  'MB of heap': [0.1, 5],
  'MB in RAM': [0.15, 15],
  'open files': [0.1, 20],
  'keys in Redis': [0.1, 100],
} as const;

/** Most bytes of Redis for an event of the log, and for an account with its token. */
const EVENT_BYTES = 400;
const ACCOUNT_BYTES = 3000;

const PRELOAD = new URL('../support/keptMemory.mjs', import.meta.url).href;

/** What stays of an account for good, or as long as its token is valid. */
const OF_ACCOUNTS = /^\{\d+\}:(?:user|account|token):/;

let redis: RedisServer;

tearDown(() => redis?.stop());

it(
  'after a long time of coming and going, with registrations, names, matches and a lost node, processes have the memory and files, and Redis the keys, that they had',
  async () => {
    redis = await startRedis();
    const env = { REDIS_URL: redis.url, PARTITIONS: '4', NODE_OPTIONS: `--import=${PRELOAD}` };
    const storm = await Storm.begin(env, redis.client(), { pace: PACE });
    const figures = new Map<string, number[]>();
    const note = (name: string, figure: number) => {
      const samples = figures.get(name) ?? [];
      if (samples.push(figure) === 1) figures.set(name, samples);
    };
    let registered = 0;
    let before: Stored | undefined;
    for (let sample = 0; sample < SAMPLES; sample += 1) {
      await delay(DURATION_MS / SAMPLES);
      for (let i = 0; i < REGISTRATIONS; i += 1, registered += 1)
        await register(storm, `newcomer${registered}`);
      if (sample === SAMPLES / 10) await loseNode(storm);
      if (sample < SAMPLES / 5) continue; // all have yet to find their size
      before ??= await stored(storm);
      for (const [i, process] of [...storm.nodes, ...storm.workers].entries()) {
        note(`MB of heap of process ${i}`, await heapMb(process));
        note(`MB in RAM of process ${i}`, await residentMb(process));
        note(`open files of process ${i}`, (await readdir(`/proc/${process.pid}/fd`)).length);
      }
      note('keys in Redis that are not of accounts', await otherKeys(storm));
    }
    const after = await stored(storm);
    const trends = [...figures].map(([name, samples]) => ({ name, ...trendOf(samples) }));
    console.table(trends);
    console.table({ before, after });
    await storm.end({ losesNodes: true, promisesDie: true });

    for (const { name, from, to } of trends) {
      const [share, little] = Object.entries(GROWTH).find(([figure]) => name.startsWith(figure))![1];
      expect(to, name).toBeLessThanOrEqual(from * (1 + share) + little);
    }
    const allowed =
      (after.events - before!.events) * EVENT_BYTES + (after.accounts - before!.accounts) * ACCOUNT_BYTES;
    expect(after.bytes).toBeLessThanOrEqual(before!.bytes * 1.1 + allowed);
  },
  4 * LIMIT_MS + DURATION_MS * 2, // taking samples takes its time, too
);

async function register(storm: Storm, username: string): Promise<void> {
  const body = JSON.stringify({ username, password: 'a long password' });
  const { status } = await fetch(`${storm.nodes[0]!.httpUrl}/register`, { method: 'POST', body });
  expect(status).toBe(201);
}

async function loseNode(storm: Storm): Promise<void> {
  const lost = storm.nodes.at(-1)!;
  storm.withdraw(lost);
  lost.kill('SIGKILL');
  await storm.addNode();
}

/** What is left in the heap of a process when garbage has been collected. */
async function heapMb(process: NodeProcess): Promise<number> {
  const lines = () => process.logs.filter(({ msg }) => msg === 'memory');
  const known = lines().length;
  process.kill('SIGUSR2');
  await eventually(() => lines().length > known);
  return Number(lines().at(-1)!.heapBytes) / 2 ** 20;
}

async function residentMb({ pid }: NodeProcess): Promise<number> {
  const [, kilobytes] = /^VmRSS:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))!;
  return Number(kilobytes) / 1024;
}

/** What Redis has, and what explains it. */
interface Stored {
  readonly bytes: number;
  readonly events: number;
  readonly accounts: number;
}

async function stored(storm: Storm): Promise<Stored> {
  const { redis, env } = storm.fleet;
  const keys = await keysOf(storm);
  let events = 0;
  for (let partition = 0; partition < Number(env.PARTITIONS); partition += 1) {
    events += await redis.xlen(`${env.KEY_PREFIX}{${partition}}:log`);
  }
  const accounts = keys.filter((key) => /^\{\d+\}:(?:user|token):/.test(key)).length;
  return { bytes: Number(parseInfo(await redis.info('memory')).get('used_memory')), events, accounts };
}

async function otherKeys(storm: Storm): Promise<number> {
  return (await keysOf(storm)).filter((key) => !OF_ACCOUNTS.test(key)).length;
}

async function keysOf({ fleet: { redis, env } }: Storm): Promise<string[]> {
  const { KEY_PREFIX = '' } = env;
  return (await redis.keys(`${KEY_PREFIX}*`)).map((key) => key.slice(KEY_PREFIX.length));
}

/** The straight line through some samples (least squares): where it begins and ends. */
function trendOf(samples: readonly number[]): { from: number; to: number } {
  const count = samples.length;
  const meanX = (count - 1) / 2;
  const meanY = samples.reduce((sum, y) => sum + y, 0) / count;
  const covariance = samples.reduce((sum, y, x) => sum + (x - meanX) * (y - meanY), 0);
  const variance = samples.reduce((sum, _, x) => sum + (x - meanX) ** 2, 0);
  const slope = covariance / variance;
  const at = (x: number) => Math.round((meanY + slope * (x - meanX)) * 10) / 10;
  return { from: at(0), to: at(count - 1) };
}
