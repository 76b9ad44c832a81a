import type { Logger } from 'pino';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { Lane } from './lane.js';
import type { CommitResult, Operation } from './operation.js';

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

/** An operation on its way. */
export interface Pending {
  readonly operation: Operation;
  readonly resolve: (result: CommitResult) => void;
  readonly reject: (error: Error) => void;
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

  constructor(private readonly options: CommitterOptions) {}

  /**
   * Commits an operation. Resolves with its result once Redis has answered, however long that takes; rejects only for a
   * programming error (the script itself fails) or with `CommitterClosed`.
   */
  commit(operation: Operation): Promise<CommitResult> {
    if (this.closed) return Promise.reject(new CommitterClosed());
    return new Promise((resolve, reject) => {
      this.queueOf(operation.partition).add({ operation, resolve, reject });
    });
  }

  /** Takes back an operation that has not been sent yet. Its promise stays open. Returns false when it was sent. */
  withdraw(operation: Operation): boolean {
    return this.queueOf(operation.partition).remove(operation);
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
    for (const queue of this.queues.values()) queue.close();
    return flushed;
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

class PartitionQueue {
  private waiting: Pending[] = [];
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
    return this.lanes.reduce((sum, lane) => sum + lane.inFlight, this.waiting.length);
  }

  get oldestBatchMs(): number {
    return Math.max(...this.lanes.map((lane) => lane.batchAgeMs));
  }

  /** Queues an operation; it is sent at the end of this turn of the event loop, with whatever else has come by then. */
  add(pending: Pending): void {
    this.waiting.push(pending);
    if (!this.scheduled) {
      this.scheduled = true;
      setImmediate(() => {
        this.scheduled = false;
        this.dispatch();
      });
    }
  }

  remove(operation: Operation): boolean {
    const position = this.waiting.findIndex((pending) => pending.operation === operation);
    if (position < 0) return false;
    this.waiting.splice(position, 1);
    return true;
  }

  close(): void {
    for (const lane of this.lanes) lane.close();
    for (const pending of this.waiting.splice(0)) pending.reject(new CommitterClosed());
  }

  private dispatch(): void {
    const groupSize = this.options.groupSize ?? GROUP_SIZE;
    for (const lane of this.lanes) {
      if (this.waiting.length === 0) return;
      if (lane.inFlight > 0) continue;
      lane.send(this.waiting.splice(0, groupSize));
    }
  }
}
