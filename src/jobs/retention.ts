import type { Logger } from 'pino';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import type { Job } from './queue.js';

export interface RetentionOptions {
  readonly redis: RedisClient;
  readonly keys: Keys;
  readonly logger: Logger;
  /** Hours that events are kept; 0: for ever. */
  readonly retentionHours: number;
}

const EVERY_MS = 5 * 60_000;

const HOUR_MS = 3_600_000;

/** Entries that one call may remove; it keeps Redis busy for less than a millisecond. */
const ENTRIES_PER_CALL = 10_000;

/**
 * Trims the log of every partition by age, by the clock of the Redis that holds it, which is the clock of its entries. What
 * is gone already can't go again, so any number of workers may do it, at the same time too.
 */
export function retention({ redis, keys, logger, retentionHours }: RetentionOptions): Job {
  return {
    name: 'retention',
    everyMs: retentionHours === 0 ? 0 : EVERY_MS,
    async run(signal) {
      if (retentionHours === 0) return; // one that was under way when the setting was changed
      let trimmed = 0;
      const failures: unknown[] = [];
      for (let partition = 0; partition < keys.partitions && !signal.aborted; partition++) {
        const log = keys.log(partition);
        try {
          const oldest = Math.max(0, (await redis.time(log)) - retentionHours * HOUR_MS);
          trimmed += await trim(redis, log, oldest, signal);
        } catch (error) {
          failures.push(error); // the other servers of a Cluster may be well
        }
      }
      if (trimmed > 0) logger.info({ events: trimmed }, 'log trimmed');
      if (failures.length > 0) {
        const text = `The log of ${failures.length} of ${keys.partitions} partitions could not be trimmed`;
        throw new Error(text, { cause: failures[0] });
      }
    },
  };
}

/**
 * Removes what is older than `oldest` (Redis' time in ms), and nothing else. Redis can bound a call only if it may leave
 * the rest of a block of entries (~100), so that is done first, again and again; an exact call then finds a block at most.
 * @returns how many entries went
 */
async function trim(redis: RedisClient, log: string, oldest: number, signal: AbortSignal): Promise<number> {
  let trimmed = 0;
  for (;;) {
    if (signal.aborted) return trimmed;
    const removed = await redis.raw.xtrim(log, 'MINID', '~', oldest, 'LIMIT', ENTRIES_PER_CALL);
    if (removed === 0) break;
    trimmed += removed;
  }
  return trimmed + (await redis.raw.xtrim(log, 'MINID', '=', oldest));
}
