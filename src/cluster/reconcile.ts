import type { Logger } from 'pino';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { scanSet } from '../redis/scan.js';
import { Unavailable } from '../redis/unavailable.js';
import type { SessionCommand } from '../session/commands.js';
import { isLive, sameAttachment } from '../session/state.js';
import { bucketOfId } from '../store/ids.js';
import type { Sessions } from '../store/sessions.js';
import { Failures } from './failures.js';
import type { Leases } from './lease.js';
import type { HeldSession, Presence } from './presence.js';

export interface ReconcilerOptions {
  readonly redis: RedisClient;
  readonly keys: Keys;
  readonly node: string;
  readonly sessions: Sessions;
  readonly presence: Presence;
  readonly leases: Leases;
  readonly logger: Logger;
  /** Whether a connection of this node, by number, is handling a message. */
  readonly isBusy: (connection: number) => boolean;
}

const EVERY_MS = 30_000;
const RETRY_MS = 1000;

/** Sessions that are put right at once, in all partitions together, and in one of them at least. */
const AT_ONCE = 128;
const AT_ONCE_AT_LEAST = 8;

/** Sessions that are looked at in one turn of the event loop. */
const SLICE = 1000;

/**
 * How long before the last comparison a session may have been attached that is looked at more closely in the next one, in ms:
 * longer than what a Redis may lose reaches back.
 */
const LOSS_MS = 10_000;

/**
 * Compares the sessions that this node holds with those that Redis says it holds, and puts right what differs. Each partition is
 * compared on its own, so that what hangs or fails in one holds up no other.
 */
export class Reconciler {
  private timer: NodeJS.Timeout | undefined;
  private closed = false;
  private readonly failures: Failures;
  private readonly atOnce: number;
  /** When each partition is to be compared next, by `performance.now()`. */
  private readonly dueAt: number[];
  /** Partitions that are being compared. */
  private readonly underWay = new Set<number>();
  /** When the last comparison of each partition began that came to its end, by `performance.now()`. */
  private readonly comparedAt: number[];
  /** When a comparison of everything was last requested, by `performance.now()`. */
  private requestedAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: ReconcilerOptions) {
    const { partitions } = options.keys;
    this.failures = new Failures(options.logger, 'reconciling failed');
    this.atOnce = Math.max(AT_ONCE_AT_LEAST, Math.floor(AT_ONCE / partitions));
    this.dueAt = Array(partitions).fill(performance.now() + jittered(EVERY_MS));
    this.comparedAt = Array(partitions).fill(Number.NEGATIVE_INFINITY);
    this.schedule();
  }

  /** Compares as soon as possible. */
  request(): void {
    this.requestedAt = performance.now();
    this.dueAt.fill(this.requestedAt);
    this.schedule();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
  }

  private schedule(): void {
    clearTimeout(this.timer);
    if (this.closed) return;
    let next = Number.POSITIVE_INFINITY;
    for (const [partition, due] of this.dueAt.entries()) {
      if (!this.underWay.has(partition)) next = Math.min(next, due);
    }
    if (next === Number.POSITIVE_INFINITY) return;
    this.timer = setTimeout(() => void this.run(), Math.max(0, next - performance.now()));
  }

  /** Begins to compare the partitions that are due. */
  private async run(): Promise<void> {
    const startedAt = performance.now();
    const nextAt = startedAt + jittered(EVERY_MS); // the same for all, so that one walk over the sessions does for all
    const due: number[] = [];
    for (const [partition, at] of this.dueAt.entries()) {
      if (at > startedAt || this.underWay.has(partition)) continue;
      due.push(partition);
      this.underWay.add(partition);
      this.dueAt[partition] = Number.POSITIVE_INFINITY;
    }
    this.schedule(); // the others; also when a timer has come early
    if (due.length === 0) return;
    const held = await this.heldByPartition();
    for (const partition of due) void this.compare(partition, held.get(partition) ?? [], startedAt, nextAt);
  }

  private async heldByPartition(): Promise<Map<number, HeldSession[]>> {
    const { keys, presence } = this.options;
    const groups = new Map<number, HeldSession[]>();
    let count = 0;
    for (const session of presence.held()) {
      const partition = keys.partitionOf(bucketOfId(session.id));
      const group = groups.get(partition);
      if (group) group.push(session);
      else groups.set(partition, [session]);
      count += 1;
      if (count % SLICE === 0) await nextTurn();
    }
    return groups;
  }

  /** @param held what was held before Redis is asked @param nextAt when the partition is to be compared again. Never rejects. */
  private async compare(
    partition: number,
    held: readonly HeldSession[],
    startedAt: number,
    nextAt: number,
  ): Promise<void> {
    let isSettled = false;
    try {
      const { areRight, areGone } = await this.putAllRight(partition, held);
      isSettled = areRight && areGone;
      const isRequestedAgain = this.requestedAt > startedAt;
      if (areRight && !isRequestedAgain) {
        this.comparedAt[partition] = startedAt;
        this.options.leases.compared(Math.min(...this.comparedAt));
      }
    } catch (error) {
      this.failures.note(error, { partition });
    }
    this.underWay.delete(partition);
    this.dueAt[partition] = Math.min(this.dueAt[partition]!, isSettled ? nextAt : retryAt());
    this.schedule();
  }

  /** @returns whether what is held, and what is not, could all be judged; it can't while it is just being changed */
  private async putAllRight(
    partition: number,
    held: readonly HeldSession[],
  ): Promise<{ areRight: boolean; areGone: boolean }> {
    const { redis, keys, node, presence } = this.options;
    const stored = new Set<string>();
    for await (const ids of scanSet(redis, keys.nodeSessions(partition, node))) {
      for (const id of ids) stored.add(id);
    }
    const isRequested = this.requestedAt > this.comparedAt[partition]!;
    const attachedLately = isRequested ? this.comparedAt[partition]! - LOSS_MS : Number.POSITIVE_INFINITY;
    const doubtful: HeldSession[] = [];
    for (let i = 0; i < held.length; i += SLICE) {
      for (const session of held.slice(i, i + SLICE)) {
        const isStored = stored.delete(session.id);
        if (!isStored || session.heldSince > attachedLately) doubtful.push(session);
      }
      await nextTurn();
    }
    const areRight = await this.all(doubtful, async ({ id, heldSince }) => {
      const isHeldStill = () => presence.holderOf(id)?.session?.heldSince === heldSince;
      return !isHeldStill() || this.putRight(id, heldSince, isHeldStill);
    });
    const unheld = [...stored].map((id) => ({ id }));
    const areGone = await this.all(unheld, async ({ id }) => presence.concerns(id) || this.letGo(id));
    return { areRight, areGone };
  }

  /** @returns whether `work` has given true for all. One that it fails with holds up no other, and is left for the next time. */
  private async all<T extends { readonly id: string }>(
    items: readonly T[],
    work: (item: T) => Promise<boolean>,
  ): Promise<boolean> {
    const attempt = async (item: T) => {
      try {
        return this.closed || (await work(item));
      } catch (error) {
        this.failures.note(error, { session: item.id });
        return !(error instanceof Unavailable);
      }
    };
    let all = true;
    for (let i = 0; i < items.length; i += this.atOnce) {
      const answers = await Promise.all(items.slice(i, i + this.atOnce).map(attempt));
      all &&= answers.every(Boolean);
    }
    return all;
  }

  /**
   * A session is held here, and Redis says it isn't, or may say so.
   * @returns false if that can't be told now
   */
  private async putRight(id: string, heldSince: number, isHeldStill: () => boolean): Promise<boolean> {
    const { sessions, presence, leases, node, isBusy } = this.options;
    const known = await sessions.load(id);
    const { state } = known;
    const holder = presence.holderOf(id);
    if (!holder || !isHeldStill()) return true;
    const own = { node, connection: holder.number };

    if (!isLive(state)) {
      const who = await sessions.endedBy(id);
      if (isHeldStill()) presence.lose(id, who ?? 'lost');
      return true;
    }
    if (sameAttachment(state.attachment, own)) {
      if (state.status === 'attached') return true;
      if (state.reason === 'node_lost') {
        return this.takeBack(id, {
          type: 'reclaim',
          attachment: own,
          play: holder.session!.known.state.play,
        });
      }
      presence.lose(id, 'lost');
      return true;
    }
    if (state.attachment.node === node) {
      // another connection of this node has just taken it over, and is about to hold it; or Redis has lost that it was taken from that
      if (isBusy(state.attachment.connection)) return false;
      return this.takeBack(id, { type: 'resume', attachment: own, takeOver: true });
    }
    presence.lose(id, leases.lossOf({ heldSince }));
    return true;
  }

  /** @returns whether it could be done: the session has not changed meanwhile */
  private async takeBack(id: string, command: SessionCommand): Promise<boolean> {
    const { sessions, presence, logger } = this.options;
    const outcome = await sessions.execute(id, command);
    if (!outcome.done || !isLive(outcome.after.state)) return false;
    logger.info({ session: id }, 'session reclaimed');
    presence.update(id, { ...outcome.after, state: outcome.after.state });
    return true;
  }

  /**
   * Redis says a session is held here, and it isn't. What is just being begun or ended is left alone.
   * @returns false if it was
   */
  private async letGo(id: string): Promise<boolean> {
    const { sessions, presence, node, isBusy } = this.options;
    const known = await sessions.load(id);
    const { state } = known;
    if (state.status !== 'attached' || state.attachment.node !== node || presence.concerns(id)) return true;
    if (isBusy(state.attachment.connection)) return false;
    const { attachment } = state;
    await sessions.execute(id, { type: 'detach', attachment, reason: 'closed' }, { known });
    return true;
  }
}

function jittered(ms: number): number {
  return ms * (1 + Math.random() / 10);
}

/** When what could not be settled is looked at again: for all partitions at the same times. */
function retryAt(): number {
  return (Math.floor(performance.now() / RETRY_MS) + 1) * RETRY_MS;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
