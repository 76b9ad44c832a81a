import { Unavailable } from '../redis/unavailable.js';
import type { CommitLimit, CommitResult } from './operation.js';

/** The promise of what becomes of an operation. */
export class Pending {
  /** When it is given up, by `performance.now()`. */
  readonly dueAt: number;
  private isGivenUp = false;

  constructor(
    private readonly resolve: (result: CommitResult) => void,
    private readonly reject: (error: unknown) => void,
    private readonly limit: CommitLimit | undefined,
  ) {
    this.dueAt = limit ? performance.now() + limit.timeoutMs : Number.POSITIVE_INFINITY;
  }

  /** It was answered. */
  settle(result: CommitResult): void {
    if (!this.isGivenUp) this.resolve(result);
    else if (result.committed) queueMicrotask(this.limit!.late); // whose errors are not those of the batch
  }

  /** It can't be answered any more. */
  fail(error: Error): void {
    this.reject(this.limit ? new Unavailable(error) : error);
  }

  /** Gives it up if it is due. @returns whether it has been given up, now or before */
  expire(now: number): boolean {
    if (!this.isGivenUp && this.dueAt <= now) {
      this.isGivenUp = true;
      this.reject(new Unavailable());
    }
    return this.isGivenUp;
  }
}
