import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { toCloudEvent } from '../log/cloudEvent.js';
import type { Event } from '../log/entry.js';
import { type FollowOptions, followLog } from '../log/follow.js';
import { Followers } from '../log/followers.js';
import { mergeEvents } from '../log/merge.js';
import { PAGE_SIZE, readLog } from '../log/read.js';
import { fromStart, parseSince, type Since } from '../log/since.js';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { reading, Unavailable } from '../redis/unavailable.js';
import { bucketOfId } from '../store/ids.js';

export interface PrintEventsRequest {
  readonly redis: RedisClient;
  readonly keys: Keys;
  /** Opens more connections, to follow by. */
  readonly connect: FollowOptions['connect'];
  readonly options: {
    /** Whether to go on with what is recorded from now on. */
    readonly follow?: boolean;
    /** Only events of this type. */
    readonly type?: string;
    /** Only events of this session or account. */
    readonly subject?: string;
    /** Only what came later, see `parseSince`; with `as`, only if the follower is new. */
    readonly since?: string;
    /** Name of a follower: begins where that one has come to, and keeps note of how far it comes. */
    readonly as?: string;
  };
  /** Where to print to, such as `process.stdout`. */
  readonly out: Writable;
  /** Is told, in one sentence, when a follower with a name may have missed events. */
  readonly warn?: (sentence: string) => void;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/**
 * Prints the log as CloudEvents, one a line (NDJSON): what is there, merged by time, and, when following, what comes
 * then, in the order in which it is found. It goes no faster than `out` takes it. Ends quietly when nobody reads `out` any
 * more (EPIPE), and by the signal. While it follows, Redis may be away. What a follower with a name notes is behind what it
 * has written, never ahead: should it be killed, some events come again the next time, and none is left out.
 * @throws Error with one clear sentence when `since` can't be understood or the log can't be read
 */
export async function printEvents(request: PrintEventsRequest): Promise<void> {
  const { redis, keys, connect, options, out, warn = () => {}, signal } = request;
  const since = options.since === undefined ? fromStart : await readSince(redis, keys, options.since);
  const followers = new Followers(redis, keys);
  const known = options.as === undefined ? null : await followers.positionsOf(options.as);
  const positions = new Map<number, string>();
  for (const partition of partitionsOf(keys, options.subject)) {
    positions.set(partition, known?.get(partition) ?? since(partition));
  }
  if (known && (await followers.mayHaveMissed(known))) {
    warn(`Events that ${options.as} has not read may have been trimmed from the log (RETENTION_HOURS).`);
  }

  const printer = new Printer(out, signal);
  const isWanted = ({ type, subject }: Event) =>
    (options.type === undefined || type === options.type) &&
    (options.subject === undefined || subject === options.subject);
  const print = async (events: AsyncIterable<Event>) => {
    for await (const event of events) {
      if (isWanted(event)) await printer.print(JSON.stringify(toCloudEvent(event)));
      if (printer.signal.aborted) return;
      positions.set(event.partition, event.id);
    }
  };

  const notes = options.as === undefined ? null : new Notes(followers, options.as, positions);
  try {
    await print(history(redis, keys, positions));
  } catch (error) {
    if (!options.follow || !(error instanceof Unavailable)) throw error;
    // following goes on where this has come to, as soon as Redis is back
  }
  try {
    if (options.follow) await print(followLog({ connect, keys, positions, signal: printer.signal }));
    await printer.end();
  } finally {
    await notes?.end();
  }
}

/** How often a follower notes how far it has come, in ms. */
const NOTE_MS = 1000;

/** Keeps note of how far a follower has come. While Redis is away, the note waits. */
class Notes {
  private readonly timer: NodeJS.Timeout;
  private noting: Promise<void>;

  constructor(
    private readonly followers: Followers,
    private readonly follower: string,
    private readonly positions: ReadonlyMap<number, string>,
  ) {
    this.noting = this.note();
    this.timer = setInterval(() => {
      this.noting = this.noting.then(() => this.note());
    }, NOTE_MS);
  }

  /** Notes it a last time. */
  async end(): Promise<void> {
    clearInterval(this.timer);
    await this.noting;
    await this.note();
  }

  private note(): Promise<void> {
    return this.followers.note(this.follower, this.positions).catch(() => {}); // the next note has it, too
  }
}

/** Events held at once, of all partitions together. */
const HELD = 10_000;

async function readSince(redis: RedisClient, keys: Keys, text: string): Promise<Since> {
  return parseSince(text, await reading(redis.time(keys.log(0))));
}

/** Those that may have what is wanted. */
function partitionsOf(keys: Keys, subject: string | undefined): readonly number[] {
  if (subject !== undefined) return [keys.partitionOf(bucketOfId(subject))];
  return Array.from({ length: keys.partitions }, (_, partition) => partition);
}

function history(
  redis: RedisClient,
  keys: Keys,
  positions: ReadonlyMap<number, string>,
): AsyncGenerator<Event> {
  const pageSize = Math.min(PAGE_SIZE, Math.ceil(HELD / positions.size));
  return mergeEvents(
    [...positions].map(([partition, from]) => readLog(redis, keys, partition, { from, pageSize })),
  );
}

/** Writes lines as fast as they are taken, until the signal or until nobody takes them any more. */
class Printer {
  readonly signal: AbortSignal;
  private readonly failed = new AbortController();
  private failure: NodeJS.ErrnoException | undefined;

  constructor(
    private readonly out: Writable,
    signal: AbortSignal,
  ) {
    this.signal = AbortSignal.any([signal, this.failed.signal]);
    // stays: the last line may fail after everything else is done
    out.on('error', (error) => {
      this.failure = error;
      this.failed.abort();
    });
  }

  async print(line: string): Promise<void> {
    if (this.signal.aborted || this.out.write(`${line}\n`)) return;
    await once(this.out, 'drain', { signal: this.signal }).catch((error: unknown) => {
      if (!this.signal.aborted) throw error;
    });
  }

  /** Waits until everything is written. @throws the error of the output, unless it is that nobody reads it */
  async end(): Promise<void> {
    if (!this.signal.aborted) await new Promise<void>((resolve) => this.out.write('', () => resolve()));
    if (this.failure && this.failure.code !== 'EPIPE') throw this.failure;
  }
}
