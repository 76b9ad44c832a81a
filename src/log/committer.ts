import type { Logger } from 'pino';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { Batch } from './batch.js';
import { Lane } from './lane.js';
import type { CommitLimit, CommitResult, Operation } from './operation.js';
import { Pending } from './pending.js';

/** What a committer measures, if anybody wants to know. */
export interface CommitObserver {
  /** A batch was answered: number of operations and time from sending to answer, retries included, in ms. */
  committed(operations: number, durationMs: number): void;
}

export interface CommitterOptions {
  readonly redis: RedisClient;
  readonly keys: Keys;
  /** Id of this node; stands in every event as its source. */
  readonly node: string;
  readonly logger: Logger;
  /** Batches in flight for each partition. */
  readonly lanes?: number;
  /** Most operations in a batch. */
  readonly groupSize?: number;
  /** Replicas that must have a batch before it counts. */
  readonly waitReplicas?: number;
  readonly observer?: CommitObserver;
}

/** The committer was closed before the operation was sent. */
export class CommitterClosed extends Error {
  constructor() {
    super('The event log is closed');
  }
}

/**
 * Writes to the log: the one way to change anything in Redis that must not get lost.
 *
 * Operations of a partition wait in one queue; each of a few lanes takes what is there as one batch (group commit) and
 * has one batch in flight. A batch whose answer was lost is sent again under the same number until it is answered, for
 * as long as the process lives, so an operation has a definite result and is never done twice.
 */
export class Committer {
  private readonly queues = new Map<number, PartitionQueue>();
  private closed = false;
  private clock: NodeJS.Timeout | undefined;

  constructor(private readonly options: CommitterOptions) {}

  /**
   * Commits an operation. Resolves with its result once Redis has answered, however long that takes; rejects only for a
   * programming error (the script itself fails) or with `CommitterClosed`.
   *
   * With a limit it rejects with `Unavailable` instead, and also when there was no answer in time. What has not been sent by
   * then is taken back; what has may still come through, and is then for `late` to undo.
   */
  commit(operation: Operation, limit?: CommitLimit): Promise<CommitResult> {
    return new Promise((resolve, reject) => {
      const pending = new Pending(resolve, reject, limit);
      if (this.closed) {
        pending.fail(new CommitterClosed());
        return;
      }
      this.queueOf(operation.partition).add(operation, pending);
      if (limit) this.clock ??= setInterval(() => this.expire(), EXPIRY_MS);
    });
  }

  /** Operations that are not answered yet. */
  get backlog(): number {
    let count = 0;
    for (const queue of this.queues.values()) count += queue.size;
    return count;
  }

  /** Time since the oldest batch in flight was first sent, in ms; 0 when there is none. */
  get oldestBatchMs(): number {
    let oldest = 0;
    for (const queue of this.queues.values()) oldest = Math.max(oldest, queue.oldestBatchMs);
    return oldest;
  }

  /** Waits until everything is answered, at most `timeoutMs`. True when nothing is left. */
  async flush(timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (this.backlog > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return this.backlog === 0;
  }

  /** Flushes, and refuses new operations from then on. True when nothing is left. */
  async close(timeoutMs: number): Promise<boolean> {
    const flushed = await this.flush(timeoutMs);
    this.closed = true;
    clearInterval(this.clock);
    for (const queue of this.queues.values()) queue.close();
    return flushed;
  }

  /** Gives up what is due: one look at all now and then costs less than a timer for each. */
  private expire(): void {
    const now = performance.now();
    let isEmpty = true;
    for (const queue of this.queues.values()) {
      queue.expire(now);
      isEmpty &&= queue.size === 0;
    }
    if (!isEmpty) return;
    clearInterval(this.clock);
    this.clock = undefined;
  }

  private queueOf(partition: number): PartitionQueue {
    let queue = this.queues.get(partition);
    if (!queue) {
      queue = new PartitionQueue(partition, this.options);
      this.queues.set(partition, queue);
    }
    return queue;
  }
}

const LANES = 2;
const GROUP_SIZE = 256;

/** Operations are given up this much too late at worst, in ms. */
const EXPIRY_MS = 50;

class PartitionQueue {
  /** None is empty. Only the last can take more. */
  private waiting: Batch[] = [];
  private readonly lanes: Lane[];
  private scheduled = false;

  constructor(
    partition: number,
    private readonly options: CommitterOptions,
  ) {
    this.lanes = Array.from(
      { length: options.lanes ?? LANES },
      (_, number) => new Lane(partition, number, options, () => this.dispatch()),
    );
  }

  get size(): number {
    let size = 0;
    for (const lane of this.lanes) size += lane.inFlight;
    for (const batch of this.waiting) size += batch.size;
    return size;
  }

  get oldestBatchMs(): number {
    return Math.max(...this.lanes.map((lane) => lane.batchAgeMs));
  }

  /** Queues an operation; it is sent at the end of this turn of the event loop, with whatever else has come by then. */
  add(operation: Operation, pending: Pending): void {
    const { node, groupSize = GROUP_SIZE } = this.options;
    let batch = this.waiting.at(-1);
    if (!batch || batch.size >= groupSize) {
      batch = new Batch(node);
      this.waiting.push(batch);
    }
    batch.add(operation, pending);
    if (!this.scheduled) {
      this.scheduled = true;
      setImmediate(() => {
        this.scheduled = false;
        this.dispatch();
      });
    }
  }

  /** Gives up what is due. What was not sent yet never is. */
  expire(now: number): void {
    for (const lane of this.lanes) lane.expire(now);
    for (const batch of this.waiting) batch.takeBack(now);
    this.waiting = this.waiting.filter(({ size }) => size > 0);
  }

  close(): void {
    for (const lane of this.lanes) lane.close();
    for (const batch of this.waiting.splice(0)) batch.fail(new CommitterClosed());
  }

  private dispatch(): void {
    for (const lane of this.lanes) {
      if (lane.inFlight > 0) continue;
      const batch = this.waiting.shift();
      if (!batch) return;
      lane.send(batch);
    }
  }
}
