import type { CommitResult, Operation } from '../log/operation.js';

/** A part of an operation: what one subject's change adds to it. */
export type Change = Omit<Operation, 'partition'>;

export const noChange: Change = { checks: [], events: [], writes: [] };

/** Puts changes of one partition together, in order; positions of checks add up. */
export function operationOf(partition: number, ...changes: readonly Change[]): Operation {
  return {
    partition,
    checks: changes.flatMap(({ checks }) => checks),
    events: changes.flatMap(({ events }) => events),
    writes: changes.flatMap(({ writes }) => writes),
  };
}

/** State of a subject together with its version in the log. */
export interface Versioned<S> {
  readonly state: S;
  readonly version: number;
}

/** The log could not be written in time, or Redis could not be read. What was begun may still come to pass. */
export class Unavailable extends Error {
  constructor(cause?: unknown) {
    super('Redis is away', { cause });
  }
}

/** A commit as seen by those that build operations. */
export interface Log {
  commit(operation: Operation): Promise<CommitResult>;
  withdraw(operation: Operation): boolean;
}

/**
 * Commits, but waits no longer than `timeoutMs`.
 * @param undo called with the result if the operation was sent in time but answered too late
 * @throws Unavailable when there was no answer in time
 */
export async function commitInTime(
  log: Log,
  operation: Operation,
  timeoutMs: number,
  undo?: (result: CommitResult) => void,
): Promise<CommitResult> {
  const answer = log.commit(operation);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, 'late');
  });
  try {
    const first = await Promise.race([answer, late]);
    if (first !== 'late') return first;
  } catch (error) {
    throw new Unavailable(error);
  } finally {
    clearTimeout(timer);
  }
  if (!log.withdraw(operation)) answer.then((result) => undo?.(result), ignoreClosing);
  throw new Unavailable();
}

/** The process is ending; what is not undone by it is undone by the reaper. */
function ignoreClosing(): void {}
