import type { Logger } from 'pino';
import { NO_KEY } from '../log/operation.js';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { Refusals } from '../redis/refusals.js';
import { scanSet } from '../redis/scan.js';
import { reading, Unavailable } from '../redis/unavailable.js';
import type { Log } from '../store/change.js';
import type { Claims } from '../store/claims.js';
import type { Names } from '../store/names.js';
import type { Sessions } from '../store/sessions.js';
import { Uptime } from './lease.js';

export interface ReaperOptions {
  readonly redis: RedisClient;
  readonly keys: Keys;
  /** Id of this worker. */
  readonly node: string;
  readonly log: Log;
  readonly sessions: Sessions;
  readonly claims: Claims;
  readonly names: Names;
  readonly leaseMs: number;
  /** How long a detached session waits to be resumed, in ms; 0: for ever. */
  readonly resumeMs: number;
  readonly logger: Logger;
  /** Tells a node that its sessions were detached, should it live after all. Never rejects. */
  readonly tell: (node: string) => Promise<void>;
}

const MAX_ROUND_MS = 1000;
const LOCK_MS = 10_000;
const EXPIRE_BATCH = 512;
const AT_ONCE = 128;
const FREED_MS = 5000;

/**
 * Sees to sessions that nobody sees to: those of lost nodes become detached, detached ones that nobody resumes expire,
 * and claims that a crash left behind are settled. One worker at a time does it, by a lock in Redis; should two do it for a moment, the
 * commits of one are refused. All times are Redis' own.
 */
export class Reaper {
  private timer: NodeJS.Timeout | undefined;
  private closed = false;
  private round: Promise<void> = Promise.resolve();
  private readonly uptime: Uptime;
  private readonly refusals: Refusals;
  /** When the lease of a node was first found missing, by `performance.now()`. */
  private readonly missing = new Map<string, number>();
  private isMine = false;

  constructor(private readonly options: ReaperOptions) {
    this.uptime = new Uptime(options.leaseMs);
    this.refusals = new Refusals(options.logger);
    options.redis.raw.on('close', () => this.uptime.interrupted());
  }

  start(): void {
    this.timer = setTimeout(
      () => {
        this.round = this.work().finally(() => {
          if (!this.closed) this.start();
        });
      },
      Math.min(MAX_ROUND_MS, this.options.leaseMs / 3),
    );
  }

  /** Stops after what is being done. */
  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.timer);
    await this.round;
    await this.unlock().catch(() => {}); // the lock runs out by itself
  }

  /** Whether it is this worker that sees to the sessions, as of the last round. */
  get isAtWork(): boolean {
    return this.isMine && !this.closed;
  }

  private async work(): Promise<void> {
    try {
      this.isMine = await this.lock();
      this.uptime.seen();
      if (!this.isMine) {
        this.missing.clear();
        return;
      }
      await this.reapLostNodes();
      for (let partition = 0; partition < this.options.keys.partitions && !this.closed; partition++) {
        const now = await reading(this.options.redis.time(this.options.keys.log(partition)));
        await this.expire(partition, now);
        await this.options.claims.sweep(partition, now);
        await this.options.names.sweep(partition, now - FREED_MS);
      }
    } catch (error) {
      this.isMine = false;
      this.uptime.interrupted();
      this.refusals.note(error);
      if (!(error instanceof Unavailable)) this.options.logger.error({ err: error }, 'reaping failed');
    }
  }

  /** Takes or keeps the lock. A worker that was away for long finds that another has it. */
  private async lock(): Promise<boolean> {
    const { redis, keys, node } = this.options;
    const key = keys.reaperLock();
    const lock = redis.script('lockReaper', LOCK_SCRIPT);
    return Number(await reading(lock(1, key, node, LOCK_MS))) === 1;
  }

  private async unlock(): Promise<void> {
    const { redis, keys, node } = this.options;
    await redis.script('unlockReaper', UNLOCK_SCRIPT)(1, keys.reaperLock(), node);
  }

  private async reapLostNodes(): Promise<void> {
    const { redis, keys, logger, tell } = this.options;
    const nodes = new Map<string, number[]>();
    for (let partition = 0; partition < keys.partitions; partition++) {
      for (const node of await reading(redis.raw.smembers(keys.nodes(partition)))) {
        nodes.set(node, [...(nodes.get(node) ?? []), partition]);
      }
    }
    const lost: string[] = [];
    for (const node of nodes.keys()) {
      if (await this.isLost(node)) lost.push(node);
    }
    for (const node of this.missing.keys()) {
      if (!nodes.has(node)) this.missing.delete(node);
    }
    for (const node of lost) {
      let count = 0;
      for (const partition of nodes.get(node)!) count += await this.reap(partition, node);
      if (count === 0) continue;
      logger.warn({ lost: node, sessions: count }, 'sessions of a lost node detached');
      await tell(node);
    }
  }

  /** A lease must be missing twice, a third of its time apart, and Redis must have been up for a whole lease. */
  private async isLost(node: string): Promise<boolean> {
    const { leaseMs } = this.options;
    if (await this.hasLease(node)) {
      this.missing.delete(node);
      return false;
    }
    const now = performance.now();
    const since = this.missing.get(node);
    if (since === undefined || !this.uptime.isLong) {
      this.missing.set(node, now);
      return false;
    }
    return now - since >= leaseMs / 3;
  }

  private async hasLease(node: string): Promise<boolean> {
    const { redis, keys } = this.options;
    return (await reading(redis.raw.exists(keys.lease(node)))) === 1;
  }

  /** Stops as soon as the node is back. @returns how many sessions were detached */
  private async reap(partition: number, node: string): Promise<number> {
    const { redis, keys, log, sessions } = this.options;
    const key = keys.nodeSessions(partition, node);
    let count = 0;
    for await (const ids of scanSet(redis, key)) {
      for (let i = 0; i < ids.length; i += AT_ONCE) {
        const outcomes = await Promise.all(
          ids.slice(i, i + AT_ONCE).map((id) => sessions.execute(id, { type: 'loseNode', node })),
        );
        count += outcomes.filter(({ done }) => done).length;
      }
      if (this.closed || !this.uptime.isUninterrupted || (await this.hasLease(node))) return count;
    }
    // forget the node, unless it has sessions again
    await log.commit({
      partition,
      checks: [{ key, version: NO_KEY }],
      events: [],
      writes: [['remove', keys.nodes(partition), node]],
    });
    return count;
  }

  /** @param now Redis' time in ms */
  private async expire(partition: number, now: number): Promise<void> {
    const { redis, keys, sessions, resumeMs } = this.options;
    if (resumeMs === 0) return;
    for (;;) {
      const ids = await reading(
        redis.raw.zrangebyscore(keys.detached(partition), '-inf', now - resumeMs, 'LIMIT', 0, EXPIRE_BATCH),
      );
      const outcomes = await Promise.all(
        ids.map((id) => sessions.execute(id, { type: 'expire', now, resumeMs })),
      );
      const stuck = outcomes.every(({ done }) => !done);
      if (ids.length < EXPIRE_BATCH || stuck || this.closed) return;
    }
  }
}

/** KEYS[1] lock; ARGV[1] owner; ARGV[2] ms. Returns 1 if the owner has it now, for that long. */
const LOCK_SCRIPT = `
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`;

/** KEYS[1] lock; ARGV[1] owner. */
const UNLOCK_SCRIPT = `
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`;
