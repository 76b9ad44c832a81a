import { setTimeout as delay } from 'node:timers/promises';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { type Logger, pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { readConfig } from '../../src/config/config.js';
import { startJobs } from '../../src/jobs/queue.js';
import { retention } from '../../src/jobs/retention.js';
import { connectRedis, type RedisClient, type RedisTarget } from '../../src/redis/client.js';
import { Keys } from '../../src/redis/keys.js';
import type { Environment } from '../support/cliProcess.js';
import { type RedisCluster, startCluster } from '../support/cluster.js';
import { eventually } from '../support/eventually.js';
import { uniquePrefix } from '../support/prefix.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { type SentinelDeployment, startSentinel } from '../support/sentinel.js';

const HOURS = 72;
const HOUR_MS = 3_600_000;

/** As a block of a stream has 100 entries by default, the limit lies amid one. */
const OLD = 1230;
const YOUNG = 345;

const silent = pino({ level: 'silent' });

/** The logs of a deployment of its own, and all that a test opens on it. */
class Logs {
  readonly keys: Keys;
  readonly redis: RedisClient;
  readonly queue: Queue;
  private readonly cleanups: (() => unknown)[] = [];

  constructor(
    readonly target: RedisTarget,
    partitions: number,
  ) {
    this.keys = new Keys(uniquePrefix(), partitions);
    this.redis = connectRedis(target, {
      name: 'test',
      logger: silent,
      silenceTimeoutMs: 0,
      patient: true,
    });
    this.queue = new Queue('upkeep', {
      connection: this.redis.raw,
      prefix: this.keys.jobs(),
      skipVersionCheck: true,
    });
    this.queue.on('error', () => {}); // its commands tell
  }

  get partitions(): number[] {
    return [...Array(this.keys.partitions).keys()];
  }

  /** Starts a worker's jobs, which are closed after the test. */
  async start({
    retentionHours = HOURS,
    logger = silent,
  }: {
    retentionHours?: number;
    logger?: Logger;
  } = {}) {
    const jobs = await startJobs({ target: this.target, keys: this.keys, logger, retentionHours });
    this.cleanups.push(() => jobs.close());
    return jobs;
  }

  /** Does the job once, here. */
  run(signal = new AbortController().signal): Promise<void> {
    const { redis, keys } = this;
    return retention({ redis, keys, logger: silent, retentionHours: HOURS }).run(signal);
  }

  /** Writes entries that are older than the limit, and younger ones, a second apart. @returns the ids of both */
  async fill(partition: number, old = OLD, young = YOUNG): Promise<{ old: string[]; young: string[] }> {
    const key = this.keys.log(partition);
    await this.queue.waitUntilReady();
    const limit = (await this.redis.time(key)) - HOURS * HOUR_MS;
    const ids = {
      old: Array.from({ length: old }, (_, i) => `${limit - (old - i) * 1000}-${i % 3}`),
      young: Array.from({ length: young }, (_, i) => `${limit + HOUR_MS + i * 1000}-${i % 3}`),
    };
    const pipeline = this.redis.raw.pipeline();
    for (const id of [...ids.old, ...ids.young]) pipeline.xadd(key, id, 'e', 'session.started');
    await pipeline.exec();
    return ids;
  }

  fillAll(): Promise<{ old: string[]; young: string[] }[]> {
    return Promise.all(this.partitions.map((partition) => this.fill(partition)));
  }

  /** The ids of what a log holds. */
  async ids(partition: number): Promise<string[]> {
    return (await this.redis.raw.xrange(this.keys.log(partition), '-', '+')).map(([id]) => id);
  }

  allIds(): Promise<string[][]> {
    return Promise.all(this.partitions.map((partition) => this.ids(partition)));
  }

  /** Asks for the job, a few times (of those done only the last ten are kept), and waits until all are done. */
  async request(times = 1): Promise<void> {
    const jobs = Array.from({ length: times }, () => ({ name: 'retention', data: {} }));
    const asked = await this.queue.addBulk(jobs);
    await eventually(
      async () => {
        const states = await Promise.all(asked.map((job) => job.getState()));
        expect(states.filter((state) => state !== 'completed')).toEqual([]);
      },
      { timeoutMs: 30_000, message: 'the job is done' },
    );
  }

  async close(): Promise<void> {
    for (const clean of this.cleanups) await clean();
    await this.queue.close();
    this.redis.close();
  }
}

let server: RedisServer;
let cluster: RedisCluster;
let sentinel: SentinelDeployment;
const opened: Logs[] = [];

beforeAll(async () => {
  [server, cluster, sentinel] = await Promise.all([startRedis(), startCluster(3), startSentinel()]);
});
afterEach(async () => {
  for (const logs of opened.splice(0)) await logs.close();
});
afterAll(async () => {
  await Promise.all([server?.stop(), cluster?.stop(), sentinel?.stop()]);
});

function open(env: Environment, partitions = 2): Logs {
  const logs = new Logs(readConfig(env).redis!, partitions);
  opened.push(logs);
  return logs;
}

const backends = [
  { name: 'a single Redis', env: () => ({ REDIS_URL: server.url }), partitions: 4 },
  { name: 'a Cluster', env: () => ({ REDIS_CLUSTER: cluster.addresses }), partitions: 8 },
  {
    name: 'Redis with Sentinels',
    env: () => ({ REDIS_SENTINELS: sentinel.sentinels, REDIS_MASTER: sentinel.masterName }),
    partitions: 2,
  },
];

describe.each(backends)('retention on $name', ({ env, partitions }) => {
  it('removes what is too old from every partition, and nothing else', async () => {
    const logs = open(env(), partitions);
    const written = await logs.fillAll();
    await logs.start();
    const young = written.map((ids) => ids.young);
    await eventually(async () => expect(await logs.allIds()).toEqual(young), { timeoutMs: 30_000 });
  });

  it('does no harm when several workers do it, at once and again', async () => {
    const logs = open(env(), partitions);
    const written = await logs.fillAll();
    await Promise.all([logs.start(), logs.start(), logs.run(), logs.run()]);
    await logs.request(5);
    expect(await logs.allIds()).toEqual(written.map(({ young }) => young));
    expect(await logs.queue.getJobSchedulersCount()).toBe(1);
  });
});

describe('retention', () => {
  it('removes more than one call may', async () => {
    const logs = open({ REDIS_URL: server.url }, 1);
    const { young } = await logs.fill(0, 25_000);
    await logs.run();
    expect(await logs.ids(0)).toEqual(young);
  });

  it('takes up where it was told to end early', async () => {
    const logs = open({ REDIS_URL: server.url }, 1);
    const { old, young } = await logs.fill(0);
    await logs.run(AbortSignal.abort());
    expect(await logs.ids(0)).toEqual([...old, ...young]);
    await logs.run();
    expect(await logs.ids(0)).toEqual(young);
  });

  it('lets new entries follow the old ones when all of them are gone', async () => {
    const logs = open({ REDIS_URL: server.url }, 1);
    const { old } = await logs.fill(0, OLD, 0);
    await logs.run();
    expect(await logs.ids(0)).toEqual([]);
    const key = logs.keys.log(0);
    await expect(logs.redis.raw.xadd(key, old[0]!, 'e', 'session.started')).rejects.toThrow(
      /equal or smaller/,
    );
    await logs.redis.raw.xadd(key, '*', 'e', 'session.started');
    await logs.run();
    expect((await logs.ids(0)).length).toBe(1);
  });

  it('fails if a log can’t be trimmed, and trims the others', async () => {
    const logs = open({ REDIS_URL: server.url }, 2);
    await logs.redis.raw.set(logs.keys.log(0), 'no stream');
    const { young } = await logs.fill(1);
    await expect(logs.run()).rejects.toThrow('The log of 1 of 2 partitions could not be trimmed');
    expect(await logs.ids(1)).toEqual(young);
  });

  it('is neither scheduled nor done with a limit of 0', async () => {
    const logs = open({ REDIS_URL: server.url });
    const before = await logs.start();
    await eventually(async () => expect(await logs.queue.getJobSchedulersCount()).toBe(1));
    await before.close();
    const written = await logs.fillAll();
    await logs.start({ retentionHours: 0 });
    await eventually(async () => expect(await logs.queue.getJobSchedulersCount()).toBe(0));
    await logs.request();
    expect(await logs.allIds()).toEqual(written.map(({ old, young }) => [...old, ...young]));
  });

  it('comes soon even if a worker whose clock was ahead has put it off', async () => {
    const logs = open({ REDIS_URL: server.url });
    const tomorrow = Date.now() + 24 * HOUR_MS;
    await logs.queue.upsertJobScheduler('retention', { every: 300_000, startDate: tomorrow });
    const written = await logs.fillAll();
    await logs.start();
    await eventually(async () => expect(await logs.allIds()).toEqual(written.map(({ young }) => young)));
    expect((await logs.queue.getJobScheduler('retention'))?.next).toBeLessThan(tomorrow);
  });

  it('leaves a job that this release doesn’t know for another try', async () => {
    const logs = open({ REDIS_URL: server.url });
    await logs.start();
    const job = await logs.queue.add('from the future', {}, { attempts: 2, backoff: HOUR_MS });
    await eventually(async () => expect(await job.getState()).toBe('delayed'));
    await logs.fillAll();
    await logs.request();
  });
});

const WORKERS = 2;
const OUTAGES = 3;

describe('while Redis is away', () => {
  let redis: RedisServer;

  beforeAll(async () => {
    redis = await startRedis({ appendonly: true });
  });
  afterAll(() => redis?.stop());
  afterEach(async () => {
    await redis.restart();
  });

  it('jobs wait, say so once, and go on afterwards', async () => {
    const logs = open({ REDIS_URL: redis.url });
    const lines: string[] = [];
    const logger = pino({ level: 'info' }, { write: (line: string) => lines.push(line) });
    for (let worker = 0; worker < WORKERS; worker++) await logs.start({ logger });
    await eventually(async () => expect(await logs.queue.getCompletedCount()).toBeGreaterThan(0));

    for (let outage = 0; outage < OUTAGES; outage++) {
      const linesBefore = lines.length;
      await redis.kill();
      await eventually(() => lines.length > linesBefore);
      await redis.start();
      await logs.request();
    }
    const written = await logs.fillAll();
    await logs.request();
    expect(await logs.allIds()).toEqual(written.map(({ young }) => young));
    const problems = lines.filter((line) => !line.includes('log trimmed'));
    expect(problems.length, problems.join('')).toBeLessThanOrEqual(OUTAGES * WORKERS * 2);
  });

  it('jobs wait for it to come at first', async () => {
    await redis.kill();
    const logs = open({ REDIS_URL: redis.url });
    await logs.start();
    await redis.start();
    const written = await logs.fillAll();
    await logs.request();
    expect(await logs.allIds()).toEqual(written.map(({ young }) => young));
  });

  it.each([
    ['gone', (server: RedisServer) => server.kill()],
    ['hanging', (server: RedisServer) => server.pause()],
  ])('(%s) closing takes a few seconds at most', async (_, begin) => {
    const logs = open({ REDIS_URL: redis.url });
    const jobs = await logs.start();
    await eventually(async () => expect(await logs.queue.getJobSchedulersCount()).toBe(1));
    await begin(redis);
    const begun = performance.now();
    await jobs.close();
    expect(performance.now() - begun).toBeLessThan(10_000);
  });

  it('closing takes a few seconds at most if it has never been there', async () => {
    await redis.kill();
    const logs = open({ REDIS_URL: redis.url });
    const jobs = await logs.start();
    const begun = performance.now();
    await jobs.close();
    expect(performance.now() - begun).toBeLessThan(10_000);
  });
});

describe('a Redis that is full', () => {
  it('is not pestered, and jobs are done when it has room again', async () => {
    const redis = await startRedis();
    try {
      const logs = open({ REDIS_URL: redis.url });
      const written = await logs.fillAll();
      const admin = redis.client();
      const lines: string[] = [];
      await admin.config('SET', 'maxmemory', '1');
      await logs.start({ logger: pino({ level: 'warn' }, { write: (line: string) => lines.push(line) }) });
      await eventually(() => lines.length > 0);
      const before = await commandsOf(admin);
      await delay(2000);
      expect((await commandsOf(admin)) - before).toBeLessThan(500);
      expect(lines.length).toBeLessThan(10);

      await admin.config('SET', 'maxmemory', '0');
      const young = written.map((ids) => ids.young);
      await eventually(async () => expect(await logs.allIds()).toEqual(young), { timeoutMs: 30_000 });
    } finally {
      for (const logs of opened.splice(0)) await logs.close();
      await redis.stop();
    }
  });
});

/** How many commands a server has been sent. */
async function commandsOf(redis: Redis): Promise<number> {
  return Number(/total_commands_processed:(\d+)/.exec(await redis.info('stats'))![1]);
}
