import type { Logger } from 'pino';
import { NO_KEY } from '../log/operation.js';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { scanSet } from '../redis/scan.js';
import { reading } from '../redis/unavailable.js';
import type { SessionCommand } from '../session/commands.js';
import type { Log } from '../store/change.js';
import type { Claims } from '../store/claims.js';
import type { Names } from '../store/names.js';
import type { Sessions } from '../store/sessions.js';
import { Failures } from './failures.js';
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
const FREED_MS = 5000;

/** Sessions that are seen to at once, in all partitions together, and in one of them at least. */
const AT_ONCE = 128;
const AT_ONCE_AT_LEAST = 8;

/**
 * Sees to sessions that nobody sees to: those of lost nodes become detached, detached ones that nobody resumes expire,
 * and claims that a crash left behind are settled. One worker at a time does it, by a lock in Redis; should two do it for a
 * moment, the commits of one are refused. All times are Redis' own.
 *
 * A round looks at the leases, which takes as long as two answers of Redis, and has each partition seen to, without waiting
 * for it: what hangs or fails in one partition, or with one record, holds up nothing else.
 */
export class Reaper {
  private timer: NodeJS.Timeout | undefined;
  private closed = false;
  private round: Promise<void> = Promise.resolve();
  private isMine = false;
  private readonly uptime: Uptime;
  private readonly failures: Failures;
  private readonly atOnce: number;
  /** What is being done, by duty and partition. */
  private readonly underWay = new Map<string, Promise<void>>();
  /** The nodes that have, or had, sessions in each partition, as of its last look. */
  private readonly nodes: ReadonlySet<string>[] = [];
  /** When the lease of a node was first found missing, by `performance.now()`. */
  private readonly missing = new Map<string, number>();
  private lost: ReadonlySet<string> = new Set();
  /** Sessions of lost nodes that were detached and not yet logged. */
  private readonly reaped = new Map<string, number>();

  constructor(private readonly options: ReaperOptions) {
    this.uptime = new Uptime(options.leaseMs);
    this.failures = new Failures(options.logger, 'reaping failed');
    this.atOnce = Math.max(AT_ONCE_AT_LEAST, Math.floor(AT_ONCE / options.keys.partitions));
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
    await Promise.all(this.underWay.values());
    this.report();
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
      if (!this.isMine) this.missing.clear();
      this.lost = this.isMine ? await this.lostNodes() : new Set();
    } catch (error) {
      this.isMine = false;
      this.lost = new Set();
      this.uptime.interrupted();
      this.failures.note(error);
    }
    this.report();
    for (let partition = 0; partition < this.options.keys.partitions && this.isAtWork; partition++) {
      this.seeTo(partition);
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

  /** A lease must be missing twice, a third of its time apart, and Redis must have been up for a whole lease. */
  private async lostNodes(): Promise<Set<string>> {
    const { redis, keys, leaseMs } = this.options;
    const nodes = [...new Set(this.nodes.flatMap((some) => [...some]))];
    const leases =
      nodes.length > 0 ? await reading(redis.raw.mget(...nodes.map((node) => keys.lease(node)))) : [];
    this.uptime.seen();
    const now = performance.now();
    const missing = nodes.filter((_, i) => leases[i] === null);
    for (const node of this.missing.keys()) if (!missing.includes(node)) this.missing.delete(node);
    const lost = new Set<string>();
    for (const node of missing) {
      const since = this.missing.get(node);
      if (since === undefined || !this.uptime.isLong) this.missing.set(node, now);
      else if (now - since >= leaseMs / 3) lost.add(node);
    }
    return lost;
  }

  private seeTo(partition: number): void {
    const { redis, keys, claims, names } = this.options;
    const now = () => reading(redis.time(keys.log(partition)));
    this.attend('lost nodes', partition, () => this.reapLostNodes(partition));
    this.attend('expiry', partition, async () => this.expire(partition, await now()));
    this.attend('claims', partition, async () => claims.sweep(partition, await now()));
    this.attend('names', partition, async () => names.sweep(partition, (await now()) - FREED_MS));
  }

  /** Does a duty in the background, unless it is still being done. */
  private attend(duty: string, partition: number, work: () => Promise<unknown>): void {
    const key = `${duty} ${partition}`;
    if (this.underWay.has(key)) return;
    const done = work()
      .then(() => {})
      .catch((error: unknown) => this.failures.note(error, { duty, partition }))
      .finally(() => this.underWay.delete(key));
    this.underWay.set(key, done);
  }

  private async reapLostNodes(partition: number): Promise<void> {
    const { redis, keys, tell } = this.options;
    const nodes = new Set(await reading(redis.raw.smembers(keys.nodes(partition))));
    this.nodes[partition] = nodes;
    for (const node of nodes) {
      if (!this.lost.has(node)) continue;
      const count = await this.reap(partition, node);
      if (count === 0) continue;
      this.reaped.set(node, (this.reaped.get(node) ?? 0) + count);
      await tell(node);
    }
  }

  /** Stops as soon as the node is back. @returns how many sessions were detached */
  private async reap(partition: number, node: string): Promise<number> {
    const { redis, keys, log } = this.options;
    const key = keys.nodeSessions(partition, node);
    let count = 0;
    for await (const ids of scanSet(redis, key)) {
      count += await this.executeAll(ids, { type: 'loseNode', node });
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

  private async hasLease(node: string): Promise<boolean> {
    const { redis, keys } = this.options;
    return (await reading(redis.raw.exists(keys.lease(node)))) === 1;
  }

  /** @param now Redis' time in ms */
  private async expire(partition: number, now: number): Promise<void> {
    const { redis, keys, resumeMs } = this.options;
    if (resumeMs === 0) return;
    const key = keys.detached(partition);
    let left = 0; // that could not be expired, and are still the first ones
    for (;;) {
      const ids = await reading(
        redis.raw.zrangebyscore(key, '-inf', now - resumeMs, 'LIMIT', left, EXPIRE_BATCH),
      );
      left += ids.length - (await this.executeAll(ids, { type: 'expire', now, resumeMs }));
      if (ids.length < EXPIRE_BATCH || this.closed) return;
    }
  }

  /** Takes a command through on each of the sessions. @returns on how many */
  private async executeAll(ids: readonly string[], command: SessionCommand): Promise<number> {
    const { sessions } = this.options;
    const execute = async (id: string) => {
      try {
        return (await sessions.execute(id, command)).done;
      } catch (error) {
        this.failures.note(error, { session: id });
        return false;
      }
    };
    let count = 0;
    for (let i = 0; i < ids.length; i += this.atOnce) {
      const done = await Promise.all(ids.slice(i, i + this.atOnce).map(execute));
      count += done.filter(Boolean).length;
    }
    return count;
  }

  private report(): void {
    for (const [lost, sessions] of this.reaped) {
      this.options.logger.warn({ lost, sessions }, 'sessions of a lost node detached');
    }
    this.reaped.clear();
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
