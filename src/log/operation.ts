/**
 * The vocabulary of a commit: what is checked, what is recorded, what is stored. The log knows no domain; keys are
 * built by the callers and must all belong to the operation's partition.
 */

/** What a stored record is made of. `at` is Redis' time of the commit that wrote it, in ms since the epoch. */
export interface StoredRecord {
  readonly version: number;
  readonly at: number;
  readonly body: string;
}

/** Expected versions with a meaning of their own. */
export const NO_RECORD = 0;
export const NO_KEY = -1;

/**
 * Refuses the operation unless the record has this version. The time of its commit tells apart two records of one
 * version: a Redis that has lost its last commits gives their versions to others.
 */
export interface Check {
  readonly key: string;
  /** Field of a hash; absent when the record is the whole key. */
  readonly field?: string;
  readonly version: number;
  /** `at` of the record; 0 or absent: any. */
  readonly at?: number;
}

/** An event about to be recorded. `version` is the version of its subject after it. */
export interface NewEvent {
  readonly type: string;
  readonly subject: string;
  readonly version: number;
  readonly data: object;
}

/** A write of an operation, applied only when all of its checks hold. */
export type Write =
  | readonly ['put', key: string, field: string, version: number, body: string, expiresAtMs: number]
  | readonly ['delete', key: string, field: string]
  | readonly ['rank', key: string, member: string]
  | readonly ['place', key: string, member: string, score: number]
  | readonly ['unrank', key: string, member: string]
  | readonly ['add', key: string, member: string]
  | readonly ['remove', key: string, member: string]
  | readonly ['note', key: string, text: string, seconds: number]
  | readonly ['stamp', key: string, field: string];

/** What is committed as a whole or not at all. */
export interface Operation {
  readonly partition: number;
  readonly checks: readonly Check[];
  readonly events: readonly NewEvent[];
  readonly writes: readonly Write[];
}

/** How long an operation may take. */
export interface CommitLimit {
  readonly timeoutMs: number;
  /** Called when it was committed after that all the same. */
  readonly late: () => void;
}

/**
 * What became of an operation. Committed: `at` is Redis' time in ms. Refused: the first check that failed, by position,
 * and the record that was found instead (null: none, or its key is of another type).
 */
export type CommitResult =
  | { readonly committed: true; readonly at: number }
  | { readonly committed: false; readonly check: number; readonly found: StoredRecord | null };

/** Reads a record as the commit script stores it; null when there is none. */
export function parseRecord(stored: string | null | undefined): StoredRecord | null {
  if (!stored) return null;
  const first = stored.indexOf(' ');
  const second = stored.indexOf(' ', first + 1);
  return {
    version: Number(stored.slice(0, first)),
    at: Number(stored.slice(first + 1, second)),
    body: stored.slice(second + 1),
  };
}
