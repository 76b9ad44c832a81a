/** Ids of stream entries, `<ms>-<sequence>`: two numbers of 64 bits, compared part by part. */

/** Comes before every entry. */
export const START = '0-0';

/** Negative, zero or positive: `a` comes before, is, comes after `b`. */
export function compareEntryIds(a: string, b: string): number {
  const [aMs, aSequence] = partsOf(a);
  const [bMs, bSequence] = partsOf(b);
  if (aMs !== bMs) return aMs < bMs ? -1 : 1;
  if (aSequence === bSequence) return 0;
  return aSequence < bSequence ? -1 : 1;
}

/** The id right before another; `0-0` stays. */
export function entryIdBefore(id: string): string {
  const [ms, sequence] = partsOf(id);
  if (sequence > 0n) return `${ms}-${sequence - 1n}`;
  return ms > 0n ? `${ms - 1n}-${LAST_SEQUENCE}` : START;
}

/** When an entry was written: Redis' time in ms since the epoch. */
export function timeOfEntry(id: string): number {
  return Number(id.slice(0, id.indexOf('-')));
}

/** Whether a text is the id of an entry, both parts of it. */
export function isEntryId(text: string): boolean {
  return /^[0-9]{1,20}-[0-9]{1,20}$/.test(text) && partsOf(text).every((part) => part <= LAST_SEQUENCE);
}

const LAST_SEQUENCE = 2n ** 64n - 1n;

function partsOf(id: string): [ms: bigint, sequence: bigint] {
  const dash = id.indexOf('-');
  return [BigInt(id.slice(0, dash)), BigInt(id.slice(dash + 1))];
}
