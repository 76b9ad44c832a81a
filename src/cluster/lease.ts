import type { Logger } from 'pino';
import type { RedisClient } from '../redis/client.js';
import type { RedisClock } from '../redis/clock.js';
import type { Keys } from '../redis/keys.js';
import { reading } from '../redis/unavailable.js';
import type { HeldSession } from './presence.js';

/** What a gateway node says of itself with its lease. */
export interface NodeReport {
  /** Open connections of clients. */
  readonly connections: number;
  /** Sessions attached to it. */
  readonly sessions: number;
  readonly draining: boolean;
  /** When it began, by Redis' time in ms since the epoch. */
  readonly startedAt: number;
}

export interface LeaseOptions {
  readonly redis: RedisClient;
  readonly keys: Keys;
  readonly node: string;
  /** How long a node lives without a sign of life, in ms. */
  readonly leaseMs: number;
  readonly clock: RedisClock;
  readonly logger: Logger;
  readonly report: () => Omit<NodeReport, 'startedAt'>;
  /** The lease had run out: others may have taken this node for lost. */
  readonly onLost: () => void;
}

/** A node that went without a word is listed as lost for this long. */
const FORGOTTEN_MS = 3_600_000;

/** The sign of life of this node, and a look at those of others. */
export class Leases {
  private timer: NodeJS.Timeout | undefined;
  private held = false;
  private closed = false;
  private readonly uptime: Uptime;
  private foundLostAt = Number.NEGATIVE_INFINITY;
  private renewedAt = 0;
  private startedAt: number | undefined;

  constructor(private readonly options: LeaseOptions) {
    this.uptime = new Uptime(options.leaseMs);
    options.redis.raw.on('close', () => this.uptime.interrupted());
  }

  /** Takes the lease and renews it every third of its time. @throws when Redis can't be reached */
  async start(): Promise<void> {
    await this.renew();
    this.timer = setInterval(() => {
      this.renew().catch((error: unknown) => {
        this.uptime.interrupted();
        this.options.logger.debug({ err: error }, 'lease could not be renewed');
      });
    }, this.options.leaseMs / 3);
  }

  /**
   * Whether a node's lease has run out. A node that has not seen Redis up for a whole lease can't tell and says no: after
   * an outage of Redis the living must have the time to show that they are.
   * @throws Unavailable
   */
  async isLost(node: string): Promise<boolean> {
    const { redis, keys } = this.options;
    if (node === this.options.node || !this.uptime.isLong) return false;
    return (await reading(redis.raw.exists(keys.lease(node)))) === 0;
  }

  /**
   * When others may last have taken this node for lost, by `performance.now()`: when its lease was found to have run out,
   * or now, if it has not been renewed for so long that it may have.
   */
  private get lostAt(): number {
    return this.isOverdue ? performance.now() : this.foundLostAt;
  }

  /** Why a session that was held here is somebody else's now. @param session as it was held */
  lossOf({ heldSince }: Pick<HeldSession, 'heldSince'>): 'lost' | 'taken_over' {
    return this.lostAt > heldSince ? 'lost' : 'taken_over';
  }

  /** Whether the lease has not been renewed for so long that it may have run out, and its sessions may be elsewhere. */
  get isOverdue(): boolean {
    return performance.now() - this.renewedAt > this.options.leaseMs;
  }

  /** All sessions have been compared with the stored ones since a time: what others thought before that is settled. */
  compared(since: number): void {
    if (this.foundLostAt < since) this.foundLostAt = Number.NEGATIVE_INFINITY;
  }

  /** Gives the lease up: the node has no sessions any more. */
  async release(): Promise<void> {
    this.closed = true;
    clearInterval(this.timer);
    const { redis, keys, node, logger } = this.options;
    const released = [redis.raw.del(keys.lease(node)), redis.raw.zrem(keys.gateways(), node)];
    await Promise.all(released).catch((error: unknown) => {
      logger.debug({ err: error }, 'lease is left to run out');
    });
  }

  private async renew(): Promise<void> {
    const { redis, keys, node, leaseMs, clock, report } = this.options;
    const key = keys.lease(node);
    const sentAt = performance.now();
    this.startedAt ??= clock.now();
    const now = clock.now();
    const lease = JSON.stringify({ ...report(), startedAt: this.startedAt });
    const [time] = await Promise.all([
      redis.time(key),
      redis.raw.set(key, lease, 'PX', leaseMs, 'GET').then((previous) => this.renewed(sentAt, previous)),
      redis.raw.zadd(keys.gateways(), now, node),
      redis.raw.zremrangebyscore(keys.gateways(), '-inf', now - FORGOTTEN_MS),
      redis.raw.pexpire(keys.gateways(), FORGOTTEN_MS),
      redis.raw.set(keys.partitionCount(), keys.partitions, 'NX'), // for a Redis that has lost its data
    ]);
    if (this.closed) return;
    clock.observe(time);
    this.uptime.seen();
  }

  /**
   * The lease is taken, whatever becomes of the rest.
   * @param previous what it was before; null: there was none any more
   */
  private renewed(sentAt: number, previous: string | null): void {
    if (this.closed) return;
    // what may have run out may also have been taken again by a renewal whose answer was lost
    const mayHaveRunOut = previous === null || sentAt - this.renewedAt > this.options.leaseMs;
    const isLost = this.held && mayHaveRunOut;
    this.renewedAt = sentAt;
    this.held = true;
    if (!isLost) return;
    this.foundLostAt = performance.now();
    this.options.logger.warn('lease had run out, comparing sessions');
    this.options.onLost();
  }
}

/** How long Redis has been seen up without an interruption. */
export class Uptime {
  private since: number | undefined;
  private last = 0;

  /** @param leaseMs a gap of more than this between two looks is an interruption */
  constructor(private readonly leaseMs: number) {}

  /** Redis has answered. */
  seen(): void {
    const now = performance.now();
    if (this.since === undefined || now - this.last > this.leaseMs) this.since = now;
    this.last = now;
  }

  /** Redis has not answered, or a connection to it broke. */
  interrupted(): void {
    this.since = undefined;
  }

  /** Whether there was no interruption since the last look. */
  get isUninterrupted(): boolean {
    return this.since !== undefined;
  }

  /** Whether it has been up for a whole lease, as of the last look. */
  get isLong(): boolean {
    return this.since !== undefined && this.last - this.since >= this.leaseMs;
  }
}
