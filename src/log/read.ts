import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { reading } from '../redis/unavailable.js';
import { START, timeOfEntry } from './entryId.js';

/** An event as it stands in the log. */
export interface Event {
  readonly partition: number;
  /** Id of the stream entry, `<ms>-<sequence>`; unique and growing within a partition. */
  readonly id: string;
  /** When it was recorded: Redis' time in ms since the epoch. */
  readonly time: number;
  readonly type: string;
  /** Version of the shape of `data`. */
  readonly dataVersion: number;
  /** Id of the session or account that changed. */
  readonly subject: string;
  /** Version of the subject after it. */
  readonly version: number;
  /** Id of the node that recorded it. */
  readonly node: string;
  /** What the schema of the type says; nobody has checked it. */
  readonly data: Readonly<Record<string, unknown>>;
}

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
    for (const [id, fields] of page) yield parseEvent(partition, id, fields);
    if (page.length < pageSize) return;
    last = page.at(-1)![0];
  }
}

/** Entries that a page of one partition has at most. */
export const PAGE_SIZE = 1000;

/**
 * Reads an entry as the commit script writes it: `t` type, with `@<n>` if its data are not of version 1; `s` subject;
 * `v` version; `n` node; `d` data.
 * @throws Error when it is none
 */
export function parseEvent(partition: number, id: string, fields: readonly string[]): Event {
  const entry = new Map<string, string>();
  for (let i = 0; i + 1 < fields.length; i += 2) entry.set(fields[i]!, fields[i + 1]!);
  try {
    const [type = '', dataVersion = '1'] = textOf(entry, 't').split('@');
    return {
      partition,
      id,
      time: timeOfEntry(id),
      type,
      dataVersion: numberFrom(dataVersion),
      subject: textOf(entry, 's'),
      version: numberFrom(textOf(entry, 'v')),
      node: textOf(entry, 'n'),
      data: JSON.parse(textOf(entry, 'd')) as Event['data'],
    };
  } catch (error) {
    throw new Error(`Entry ${partition}:${id} of the log is not an event: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function textOf(entry: ReadonlyMap<string, string>, field: string): string {
  const text = entry.get(field);
  if (text === undefined) throw new Error(`it has no field ${field}`);
  return text;
}

function numberFrom(text: string): number {
  if (!/^[0-9]{1,15}$/.test(text)) throw new Error(`${JSON.stringify(text)} is not a number`);
  return Number(text);
}
