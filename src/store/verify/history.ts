import { compareEntryIds, START, timeOfEntry } from '../../log/entryId.js';
import { readLog } from '../../log/read.js';
import { type Evolve, type Replayed, replay } from '../../log/replay.js';
import type { RedisClient } from '../../redis/client.js';
import type { Keys } from '../../redis/keys.js';
import { reading } from '../../redis/unavailable.js';
import type { SubjectState } from './subject.js';

/** What the log of a partition says of its subjects, as far as it has been read. */
export class History {
  readonly subjects = new Map<string, Replayed<SubjectState>>();
  /** Events read. */
  events = 0;
  private position = START;

  /**
   * @param only the subjects that matter; default: all
   */
  constructor(
    private readonly redis: RedisClient,
    private readonly keys: Keys,
    private readonly partition: number,
    private readonly evolve: Evolve<SubjectState>,
    private readonly only?: ReadonlySet<string>,
  ) {}

  /**
   * Reads on to the end of the log.
   * @param wanted versions of some subjects
   * @returns what those subjects were at just these versions, for those that have come to them
   * @throws Unavailable; Error when an entry is not an event
   */
  async readOn(wanted: ReadonlyMap<string, number> = NONE): Promise<Map<string, Replayed<SubjectState>>> {
    const found = new Map<string, Replayed<SubjectState>>();
    for await (const event of readLog(this.redis, this.keys, this.partition, { from: this.position })) {
      this.position = event.id;
      this.events += 1;
      const { subject, version } = event;
      if (this.only && !this.only.has(subject)) continue;
      const after = replay(this.subjects.get(subject), event, this.evolve);
      this.subjects.set(subject, after);
      if (wanted.get(subject) === version) found.set(subject, after);
    }
    return found;
  }
}

const NONE: ReadonlyMap<string, number> = new Map();

/** What the log of a partition has lost. */
export interface Losses {
  /** What was written up to this time may have been trimmed, Redis' time in ms; 0: nothing has been. */
  readonly trimmedTo: number;
  /** An entry that was deleted though entries before it are still there, if there is one. */
  readonly hole: string | null;
}

/** Asks Redis what a log has lost. @throws Unavailable */
export async function lossesOf(redis: RedisClient, keys: Keys, partition: number): Promise<Losses> {
  const log = keys.log(partition);
  if ((await reading(redis.raw.exists(log))) === 0) return { trimmedTo: 0, hole: null };
  const answer = (await reading(redis.raw.xinfo('STREAM', log))) as unknown[];
  const value = (name: string) => answer[answer.indexOf(name) + 1];
  const first = (value('first-entry') as [string] | null)?.[0];
  const deleted = String(value('max-deleted-entry-id'));
  const isWhole = value('entries-added') === value('length');
  return {
    trimmedTo: isWhole ? 0 : timeOfEntry(first ?? String(value('last-generated-id'))),
    hole: first !== undefined && compareEntryIds(deleted, first) > 0 ? deleted : null,
  };
}
