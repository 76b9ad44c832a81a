import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { type Counts, PartitionCheck } from './verify/partition.js';
import { subjectEvolve } from './verify/subject.js';

/** Something that the live state has otherwise than the log says, or that contradicts itself. */
export interface Difference {
  readonly partition: number;
  /** One sentence that names what differs. */
  readonly problem: string;
}

/** What was compared, what differs, and how much can't be told. */
export interface Verification {
  /** Events read. */
  readonly events: number;
  /** Sessions and accounts looked at: those in the log, and those that are stored. */
  readonly subjects: number;
  readonly differences: readonly Difference[];
  readonly unjudged: {
    /** Sessions and accounts whose first events are not in the log any more. */
    readonly trimmed: number;
    /** Sessions and accounts with events that only a newer release knows. */
    readonly unknown: number;
    /** Credentials, which are not in the log. */
    readonly credentials: number;
  };
}

/**
 * Replays the log and compares it with the live state: the records of sessions, accounts and tokens, and the indexes of
 * the sessions. The deployment may go on meanwhile: each subject is compared at the version that its record has, and what
 * differs is read again from the beginning. Claims are not looked at, nor when tokens were used.
 *
 * It holds the subjects of one partition at a time: those that its log speaks of, ended sessions too.
 * @throws Unavailable; Error when an entry of the log is not an event
 */
export async function verify(redis: RedisClient, keys: Keys): Promise<Verification> {
  const evolve = subjectEvolve();
  const total: Counts = { events: 0, subjects: 0, trimmed: 0, unknown: 0, credentials: 0 };
  const differences: Difference[] = [];
  for (let partition = 0; partition < keys.partitions; partition++) {
    const { counts, problems } = await new PartitionCheck(redis, keys, partition, evolve).run();
    for (const name of Object.keys(total) as (keyof Counts)[]) total[name] += counts[name];
    for (const problem of problems) differences.push({ partition, problem });
  }
  const { events, subjects, ...unjudged } = total;
  return { events, subjects, differences, unjudged };
}
