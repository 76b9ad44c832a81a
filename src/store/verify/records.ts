import { parseRecord, type StoredRecord } from '../../log/operation.js';
import type { Replayed } from '../../log/replay.js';
import type { RedisClient } from '../../redis/client.js';
import type { Keys } from '../../redis/keys.js';
import { reading } from '../../redis/unavailable.js';
import { bucketOfId, isMatchId, isSessionId } from '../ids.js';
import { sessionPlace } from '../sessionRecord.js';
import type { History, Losses } from './history.js';
import { inWords, isStored, readSubject, type SubjectState } from './subject.js';

/** Whether the record of a subject is what the log says, or why that can't be told. */
export type Verdict = 'right' | { readonly wrong: string } | { readonly unjudged: 'trimmed' | 'unknown' };

/** Records by the id of their session or account; null where there is none. */
export type Records = ReadonlyMap<string, StoredRecord | null>;

/** Reads the records of sessions and accounts. @throws Unavailable */
export async function readRecords(
  redis: RedisClient,
  keys: Keys,
  subjects: readonly string[],
): Promise<Records> {
  const stored = await reading(Promise.all(subjects.map((subject) => readStored(redis, keys, subject))));
  return new Map(subjects.map((subject, i) => [subject, parseRecord(stored[i])]));
}

/**
 * Compares records with the log while commits go on, each at the version that it has. The records must have been read
 * after the history, and the history may be behind: it is read on until it has what they have. Since a commit writes its
 * events together with its records, a record can't be older than a history read before it, nor newer than one read after.
 * @throws Unavailable
 */
export async function judge(
  history: History,
  losses: Losses,
  records: Records,
): Promise<Map<string, Verdict>> {
  const before = new Map<string, Replayed<SubjectState> | undefined>();
  const newer = new Map<string, number>();
  for (const [subject, record] of records) {
    const known = history.subjects.get(subject);
    before.set(subject, known);
    if (record && record.version > (known?.version ?? 0)) newer.set(subject, record.version);
  }
  const reached = await history.readOn(newer);

  const verdicts = new Map<string, Verdict>();
  for (const [subject, record] of records) {
    const known = newer.has(subject) ? reached.get(subject) : before.get(subject);
    const now = history.subjects.get(subject);
    if (!record) verdicts.set(subject, judgeAbsence(now, losses));
    else if (known) verdicts.set(subject, judgeRecord(subject, record, known, losses));
    else if (now) verdicts.set(subject, versionsDiffer(record, now));
    else if (record.at <= losses.trimmedTo + SCRIPT_MS) verdicts.set(subject, { unjudged: 'trimmed' });
    else
      verdicts.set(subject, { wrong: `is stored at version ${record.version}, the log has no event of it` });
  }
  return verdicts;
}

/**
 * A record has the time of the last event of its whole commit, so it may be a little later than that of its own last
 * event, in ms.
 */
const SCRIPT_MS = 1000;

function readStored(redis: RedisClient, keys: Keys, subject: string): Promise<string | null> {
  if (isSessionId(subject)) return redis.raw.hget(sessionPlace(keys, subject).key, subject);
  const partition = keys.partitionOf(bucketOfId(subject));
  return redis.raw.get(
    isMatchId(subject) ? keys.match(partition, subject) : keys.account(partition, subject),
  );
}

function judgeAbsence(known: Replayed<SubjectState> | undefined, losses: Losses): Verdict {
  if (!known) return 'right';
  if (known.status === 'broken') return { wrong: known.problem };
  if (known.status === 'partial') return judgePartial(known, losses);
  if (!isStored(known.state)) return 'right';
  return {
    wrong: `is not stored; the log says it is ${inWords(known.state)}, at version ${known.version}`,
  };
}

function judgeRecord(
  subject: string,
  record: StoredRecord,
  known: Replayed<SubjectState>,
  losses: Losses,
): Verdict {
  if (known.status === 'broken') return { wrong: known.problem };
  if (known.version !== record.version) return versionsDiffer(record, known);
  if (record.at < known.time || record.at > known.time + SCRIPT_MS) {
    const [stored, logged] = [record.at, known.time].map((time) => new Date(time).toISOString());
    return { wrong: `was stored at ${stored}; the log says version ${record.version} is of ${logged}` };
  }
  if (known.status === 'partial') return judgePartial(known, losses);

  const state = readSubject(subject, record);
  const stored = state ? inWords(state) : 'unreadable';
  const logged = inWords(known.state);
  if (stored === logged) return 'right';
  return { wrong: `is stored as ${stored}; the log says ${logged}, both at version ${record.version}` };
}

/** Only what was trimmed can be missing at the beginning. */
export function judgePartial(
  { reason }: Extract<Replayed<SubjectState>, { status: 'partial' }>,
  { trimmedTo }: Losses,
): Exclude<Verdict, 'right'> {
  if (reason === 'unknown' || trimmedTo > 0) return { unjudged: reason };
  return { wrong: 'begins with a later version than 1 in a log that was never trimmed' };
}

function versionsDiffer(record: StoredRecord, known: Replayed<SubjectState>): Verdict {
  if (known.status === 'broken') return { wrong: known.problem };
  return { wrong: `is stored at version ${record.version}; the log is at version ${known.version}` };
}
