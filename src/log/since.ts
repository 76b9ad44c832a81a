import { entryIdBefore, isEntryId, START } from './entryId.js';

/** Where to begin in the log of a partition: the entry id after which its events come. */
export type Since = (partition: number) => string;

/** From the beginning of the log. */
export const fromStart: Since = () => START;

/**
 * Reads what an operator means by "since": a time (ISO 8601, local if it says no zone, a date alone is UTC), an age
 * (`90s`, `15m`, `2h`, `3d`) or the id of an event, `<partition>:<entry id>`. From a time or age on, that instant
 * included; or after that event, in the order of `compareEvents`.
 * @param now Redis' time in ms since the epoch
 * @throws Error with one clear sentence
 */
export function parseSince(text: string, now: number): Since {
  const [, own, id] = EVENT_ID.exec(text) ?? [];
  if (id !== undefined && isEntryId(id)) {
    return (partition) => (partition > Number(own) ? entryIdBefore(id) : id);
  }
  const [, count, unit] = AGE.exec(text) ?? [];
  const time = unit === undefined ? instantOf(text) : now - Number(count) * UNIT_MS[unit as Unit];
  if (Number.isNaN(time)) {
    throw new Error(
      `${JSON.stringify(text)} is not a time (2026-01-31T12:00:00Z), an age (15m, 2h, 3d) or the id of an event (0:1700000000000-0).`,
    );
  }
  const from = time > 0 ? entryIdBefore(`${time}-0`) : START;
  return () => from;
}

const EVENT_ID = /^([0-9]{1,3}):(.+)$/;
const AGE = /^([0-9]{1,9})([smhd])$/;
const ISO_TIME = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?)?$/;

const UNIT_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
type Unit = keyof typeof UNIT_MS;

function instantOf(text: string): number {
  return ISO_TIME.test(text) ? Date.parse(text) : Number.NaN;
}
