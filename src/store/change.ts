import type { CommitLimit, CommitResult, Operation } from '../log/operation.js';

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

/** The log as seen by those that build operations, see `Committer.commit`. */
export interface Log {
  commit(operation: Operation, limit?: CommitLimit): Promise<CommitResult>;
}

/** Commits an operation; `log.commit` as it is, or one that waits only so long. */
export type Commit = (operation: Operation) => Promise<CommitResult>;
