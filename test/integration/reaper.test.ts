import { Writable } from 'node:stream';
import { type Logger, pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Reaper } from '../../src/cluster/reaper.js';
import type { CommitLimit, CommitResult, Operation } from '../../src/log/operation.js';
import type { Log } from '../../src/store/change.js';
import { sessionPlace } from '../../src/store/sessionRecord.js';
import { Sessions } from '../../src/store/sessions.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { Scene } from '../support/scene.js';

const LEASE_MS = 300;

describe('the reaper', () => {
  let redis: RedisServer;
  let scene: Scene;
  let reaper: Reaper | undefined;
  let logged: string[];
  let logger: Logger;

  beforeAll(async () => {
    redis = await startRedis();
  });
  beforeEach(async () => {
    scene = await Scene.open({ REDIS_URL: redis.url, PARTITIONS: '4' });
    logged = [];
    const lines = new Writable({
      write(line: Buffer, _encoding, done) {
        logged.push(line.toString());
        done();
      },
    });
    logger = pino({ level: 'warn' }, lines);
  });
  afterEach(async () => {
    await reaper?.close();
    scene.close();
  });
  afterAll(() => redis?.stop());

  /** Starts a reaper. @param log what its commits go by */
  function reap({ resumeMs = 0, log = scene.deployment.log }: { resumeMs?: number; log?: Log } = {}): void {
    const { redis, keys, names, untilDone } = scene.deployment;
    const sessions = new Sessions(redis, keys, log, names, untilDone);
    const tell = async () => {};
    const options = { ...scene.deployment, log, sessions, leaseMs: LEASE_MS, resumeMs, logger, tell };
    reaper = new Reaper({ ...options, node: 'w1' });
    reaper.start();
  }

  /** Sessions attached to one node, some in each partition. */
  async function crowd(size: number): Promise<string[]> {
    const ids: string[] = [];
    while (ids.length < size || new Set(ids.map((id) => scene.partitionOf(id))).size < 4) {
      ids.push(await scene.begin(await scene.player()));
    }
    return ids;
  }

  const statusOf = async (id: string) => (await scene.deployment.sessions.load(id)).state.status;
  const statusesOf = async (ids: readonly string[]) => [...new Set(await Promise.all(ids.map(statusOf)))];

  async function spoil(id: string): Promise<void> {
    const { key } = sessionPlace(scene.deployment.keys, id);
    await redis.client().hset(key, id, '1 1 no JSON');
  }

  it('detaches the other sessions of a lost node although one has an unreadable record, and says so once', async () => {
    const [spoilt, ...others] = (await crowd(10)) as [string, ...string[]];
    await spoil(spoilt);
    reap();
    await expect.poll(() => statusesOf(others), { timeout: 10_000 }).toEqual(['detached']);
    await expect.poll(() => logged.join('')).toContain('"sessions":');
    const failures = () => logged.filter((line) => line.includes('reaping failed'));
    await expect.poll(failures).toEqual([expect.stringContaining(spoilt)]);
    await reaper!.close();
    expect(failures()).toHaveLength(1);
  });

  it('lets the other sessions expire although one has an unreadable record', async () => {
    const ids = (await crowd(10)) as [string, ...string[]];
    for (const id of ids) await scene.detach(id);
    await spoil(ids[0]);
    reap({ resumeMs: 1 });
    await expect.poll(() => statusesOf(ids.slice(1)), { timeout: 10_000 }).toEqual(['none']);
  });

  it('goes on in the other partitions while the commits of one hang, and finds nodes lost meanwhile', async () => {
    const first = await crowd(10);
    const stuck = scene.partitionOf(first[0]!);
    const log = new HangingLog(scene.deployment.log, stuck);
    const lives = (id: string) => scene.partitionOf(id) === stuck;
    reap({ log });
    const rest = first.filter((id) => !lives(id));
    await expect.poll(() => statusesOf(rest), { timeout: 10_000 }).toEqual(['detached']);

    await redis.client().set(scene.deployment.keys.lease('n2'), '{}', 'PX', 1000);
    const more: string[] = [];
    while (more.length < 5) {
      const id = await scene.begin(await scene.player(), 'n2');
      if (!lives(id)) more.push(id);
    }
    await expect.poll(() => statusesOf(more), { timeout: 10_000 }).toEqual(['detached']);
    expect(await statusesOf(first.filter(lives))).toEqual(['attached']);

    log.letGo();
    await expect.poll(() => statusesOf(first), { timeout: 10_000 }).toEqual(['detached']);
  });
});

/** A log that holds back what is to be committed in one partition until it is let go. */
class HangingLog implements Log {
  private isLetGo = false;
  private readonly waiting: (() => void)[] = [];

  constructor(
    private readonly log: Log,
    private readonly partition: number,
  ) {}

  async commit(operation: Operation, limit?: CommitLimit): Promise<CommitResult> {
    if (operation.partition === this.partition && !this.isLetGo) {
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
    return this.log.commit(operation, limit);
  }

  letGo(): void {
    this.isLetGo = true;
    for (const resolve of this.waiting.splice(0)) resolve();
  }
}
