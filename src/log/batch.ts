import { formatEntry } from './entry.js';
import { type Check, type CommitResult, NO_KEY, NO_RECORD, type Operation } from './operation.js';
import type { Pending } from './pending.js';

/** What `commit.lua` gets: keys, and all operations as one JSON array. */
export interface PackedBatch {
  readonly keys: readonly string[];
  readonly json: string;
}

/**
 * Operations that are committed by one call. Each is packed as soon as it comes: of what waits for Redis nothing is kept
 * but its packed form and its promise, or the garbage collector would carry it from here to there.
 */
export class Batch {
  private readonly pendings: Pending[] = [];
  private readonly keys: string[] = [];
  /** Of keys that many operations share. */
  private readonly positions = new Map<string, number>();
  /** The key of a record that was named last, and its position: what is checked is mostly what is written. */
  private lastRecord = '';
  private lastPosition = 0;
  /** See `commit.lua`; the number of operations comes first. */
  private readonly flat: (string | number)[] = [0];
  /** Where each operation ends in `flat`. */
  private readonly ends: number[] = [];

  /** @param node its id stands in every event */
  constructor(private readonly node: string) {}

  /** Operations in it. */
  get size(): number {
    return this.pendings.length;
  }

  add({ checks, events, writes }: Operation, pending: Pending): void {
    const { flat, node } = this;
    flat.push(checks.length);
    for (const check of checks) {
      flat.push(this.recordKey(check.key), check.field ?? '', beginningOf(check));
    }
    flat.push(events.length);
    for (const event of events) flat.push(formatEntry(event, node));
    flat.push(writes.length);
    for (const write of writes) {
      const [kind, key] = write;
      const isRecord = kind === 'put' || kind === 'delete';
      flat.push(kind, isRecord ? this.recordKey(key) : this.sharedKey(key), write[2]);
      if (kind === 'put') flat.push(`${write[3]}`, write[4], write[5]);
      else if (write.length === 4) flat.push(write[3]);
    }
    this.pendings.push(pending);
    this.ends.push(flat.length);
  }

  /** Gives what is to be sent; nothing can be added from then on. */
  pack(): PackedBatch {
    const { flat, keys, positions, size } = this;
    flat[0] = size;
    const json = JSON.stringify(flat);
    flat.length = 0;
    positions.clear();
    return { keys, json };
  }

  /** Gives up those that are due. They are still part of the batch. */
  expire(now: number): void {
    for (const pending of this.pendings) pending.expire(now);
  }

  /** Gives up those that are due, and takes them out; nothing of it has been sent. */
  takeBack(now: number): void {
    for (let i = this.size - 1; i >= 0; i -= 1) {
      if (!this.pendings[i]!.expire(now)) continue;
      const from = this.ends[i - 1] ?? 1;
      const length = this.ends[i]! - from;
      this.flat.splice(from, length);
      this.pendings.splice(i, 1);
      this.ends.splice(i, 1);
      for (let later = i; later < this.size; later += 1) this.ends[later]! -= length;
    }
  }

  /** It was answered. @param results of the operations, in their order */
  settle(results: readonly CommitResult[]): void {
    for (let i = 0; i < this.pendings.length; i += 1) this.pendings[i]!.settle(results[i]!);
  }

  /** It can't be answered any more. */
  fail(error: Error): void {
    for (const pending of this.pendings) pending.fail(error);
  }

  /** The position of a record's key. One and the same may have several: to look for each costs more than it saves. */
  private recordKey(key: string): number {
    if (key !== this.lastRecord) {
      this.lastRecord = key;
      this.lastPosition = this.keys.push(key);
    }
    return this.lastPosition;
  }

  /** The position of the key of an index. */
  private sharedKey(key: string): number {
    let found = this.positions.get(key);
    if (found === undefined) {
      found = this.keys.push(key);
      this.positions.set(key, found);
    }
    return found;
  }
}

/** What a record must begin with to be the one that is expected. */
function beginningOf({ version, at = 0 }: Check): string {
  if (version === NO_KEY) return 'none';
  if (version === NO_RECORD) return '';
  return at === 0 ? `${version} ` : `${version} ${at} `;
}
