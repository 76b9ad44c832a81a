import type { CommitResult, Operation } from '../log/operation.js';
import { Unavailable } from '../redis/unavailable.js';

/** A part of an operation: what one subject's change adds to it. */
export type Change = Omit<Operation, 'partition'>;

export const noChange: Change = { checks: [], events: [], writes: [] };

/** Puts changes of one partition together, in order; positions of checks add up. */
export function joined(...changes: readonly Change[]): Change {
  let { checks, events, writes } = noChange;
  for (const change of changes) {
    checks = chained(checks, change.checks);
    events = chained(events, change.events);
    writes = chained(writes, change.writes);
  }
  return { checks, events, writes };
}

/** Changes of one partition as an operation. */
export function operationOf(partition: number, first: Change, ...others: readonly Change[]): Operation {
  const { checks, events, writes } = joined(first, ...others);
  return { partition, checks, events, writes };
}

/** Most changes lack one thing or another: then nothing is copied. */
function chained<T>(first: readonly T[], second: readonly T[]): readonly T[] {
  if (second.length === 0) return first;
  return first.length === 0 ? second : first.concat(second);
}

/** State of a subject together with its version in the log. */
export interface Versioned<S> {
  readonly state: S;
  readonly version: number;
}

/** A commit as seen by those that build operations. */
export interface Log {
  commit(operation: Operation): Promise<CommitResult>;
  withdraw(operation: Operation): boolean;
}

/** Commits an operation; `log.commit` as it is, or one that waits only so long. */
export type Commit = Log['commit'];

/** Called when an operation was committed after its client had been told that it could not be. */
export type CommitLate = () => void;

/**
 * Commits, but waits no longer than `timeoutMs`. What has not been sent by then is taken back; what has may still come
 * through, and is then for `late` to undo.
 * @throws Unavailable when there was no answer in time
 */
export function commitInTime(
  log: Log,
  operation: Operation,
  timeoutMs: number,
  late: CommitLate,
): Promise<CommitResult> {
  return new Promise((resolve, reject) => {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      log.withdraw(operation);
      reject(new Unavailable());
    }, timeoutMs);
    log.commit(operation).then(
      (result) => {
        clearTimeout(timer);
        if (!isLate) resolve(result);
        else if (result.committed) late();
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(new Unavailable(error)); // if it is late, the process is ending, and the reaper will undo what there is to undo
      },
    );
  });
}
