import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { reading } from '../redis/unavailable.js';
import { type Event, parseEntry } from './entry.js';
import { START } from './entryId.js';

export interface ReadOptions {
  /** Entry id after which to begin; default: the beginning. */
  readonly from?: string;
  /** Entries read at once; default: 1000. */
  readonly pageSize?: number;
}

/**
 * Reads what is in the log of a partition, in its order, up to its end at the time of the last page.
 * @throws Unavailable; Error when an entry is not an event
 */
export async function* readLog(
  redis: RedisClient,
  keys: Keys,
  partition: number,
  { from = START, pageSize = PAGE_SIZE }: ReadOptions = {},
): AsyncGenerator<Event> {
  const log = keys.log(partition);
  for (let last = from; ; ) {
    const page = await reading(redis.raw.xrange(log, `(${last}`, '+', 'COUNT', pageSize));
    for (const [id, fields] of page) yield parseEntry(partition, id, fields);
    if (page.length < pageSize) return;
    last = page.at(-1)![0];
  }
}

/** Entries that a page of one partition has at most. */
export const PAGE_SIZE = 1000;
