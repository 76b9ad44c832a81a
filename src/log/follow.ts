import keySlot from 'cluster-key-slot';
import { isRedisReply, type RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { type Event, parseEntry } from './entry.js';
import { START } from './entryId.js';
import { compareEvents } from './merge.js';
import { PAGE_SIZE } from './read.js';

export interface FollowOptions {
  /** Opens one more connection; the follower closes those it has opened. */
  readonly connect: (name: string, options: { readonly silenceTimeoutMs: number }) => RedisClient;
  readonly keys: Keys;
  /** Partitions to follow, each with the entry id after which to begin; '0-0': the beginning. */
  readonly positions: ReadonlyMap<number, string>;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/**
 * Follows the log: what comes after the given positions, and then what is recorded, as it is recorded. The events of
 * a partition come in their order, none missing and none twice; those of several come as they are found. While Redis is
 * away it tries again, for as long as it isn't ended, and goes on where it was.
 *
 * A blocking command occupies its connection, and can't span slots: a single Redis takes one connection, a Cluster one
 * for each partition.
 * @throws Error when Redis refuses to be read (rights, a key of another type), or an entry is not an event
 */
export async function* followLog(options: FollowOptions): AsyncGenerator<Event> {
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const clients: RedisClient[] = [];
  const connect = () => {
    const client = options.connect('follow', { silenceTimeoutMs: SILENCE_MS });
    clients.push(client);
    return client;
  };
  const close = () => {
    for (const client of clients) client.close();
  };
  signal.addEventListener('abort', close, { once: true });
  try {
    if (signal.aborted || options.positions.size === 0) return;
    const first = connect();
    const groups = first.isCluster ? bySlot(options.keys, options.positions) : [options.positions];
    const pageSize = Math.max(10, Math.floor(PAGE_SIZE / groups[0]!.size));
    const followers = groups.map((positions, i) =>
      followStreams(i === 0 ? first : connect(), options.keys, positions, pageSize, signal),
    );
    for await (const page of pagesOf(followers)) yield* page;
  } finally {
    stop.abort();
  }
}

/** How long Redis waits for an entry before it answers that there is none, in ms. */
const BLOCK_MS = 1000;
/** A connection that is silent for this long is broken, in ms. */
const SILENCE_MS = 3 * BLOCK_MS;

const RETRY_MIN_MS = 20;
const RETRY_MAX_MS = 500;

/** Answers of Redis that pass: it starts, fails over, or moves a slot. */
const PASSING = /^(?:LOADING|CLUSTERDOWN|TRYAGAIN|MASTERDOWN|MOVED|ASK|BUSY|UNBLOCKED)\b/;

type Page = readonly Event[];

/** Follows streams that one XREAD can span. Yields an empty page when there has been nothing for a while. */
async function* followStreams(
  client: RedisClient,
  keys: Keys,
  from: ReadonlyMap<number, string>,
  pageSize: number,
  signal: AbortSignal,
): AsyncGenerator<Page> {
  const { raw } = client;
  const partitions = [...from.keys()];
  const logs = partitions.map((partition) => keys.log(partition));
  const positions = [...from.values()];
  for (let failures = 0; !signal.aborted; ) {
    if (!client.isReady) {
      await pause(delayAfter(failures++), signal);
      continue;
    }
    let answer: Awaited<ReturnType<typeof raw.xread>>;
    try {
      answer = await raw.xread('COUNT', pageSize, 'BLOCK', BLOCK_MS, 'STREAMS', ...logs, ...positions);
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      if (isRedisReply(error) && !PASSING.test((error as Error).message)) {
        throw new Error(`The log cannot be read: ${(error as Error).message}`, { cause: error });
      }
      await pause(delayAfter(failures++), signal);
      continue;
    }
    const page: Event[] = [];
    for (const [log, entries] of answer ?? []) {
      const i = logs.indexOf(log);
      for (const [id, fields] of entries) page.push(parseEntry(partitions[i]!, id, fields));
      positions[i] = entries.at(-1)?.[0] ?? positions[i] ?? START;
    }
    yield page.sort(compareEvents);
  }
}

/**
 * The pages of several followers, whichever has one. Those that have nothing yield empty pages now and then; without
 * them, the promise of a silent one would collect a reaction for each page of the others.
 */
async function* pagesOf(followers: readonly AsyncGenerator<Page>[]): AsyncGenerator<Page> {
  const next = (follower: AsyncGenerator<Page>) => {
    const found = follower.next().then((page) => ({ follower, page }));
    found.catch(() => {}); // the first failure ends the race below; those of others say the same
    return found;
  };
  const waiting = new Map(followers.map((follower) => [follower, next(follower)]));
  while (waiting.size > 0) {
    const { follower, page } = await Promise.race(waiting.values());
    if (page.done) {
      waiting.delete(follower);
    } else {
      waiting.set(follower, next(follower));
      yield page.value;
    }
  }
}

function bySlot(keys: Keys, positions: ReadonlyMap<number, string>): ReadonlyMap<number, string>[] {
  const groups = new Map<number, Map<number, string>>();
  for (const [partition, position] of positions) {
    const slot = keySlot(keys.log(partition));
    groups.set(slot, (groups.get(slot) ?? new Map<number, string>()).set(partition, position));
  }
  return [...groups.values()];
}

/** In ms. */
function delayAfter(failures: number): number {
  return Math.min(RETRY_MIN_MS * 2 ** failures, RETRY_MAX_MS) * (0.5 + Math.random() / 2);
}

/** Waits `ms`, or until the signal. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}
