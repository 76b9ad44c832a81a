import { expect, it } from 'vitest';
import { compareEntryIds } from '../../../src/log/entryId.js';
import { fromStart, parseSince } from '../../../src/log/since.js';

const NOW = Date.UTC(2026, 0, 31, 12);

/** The first ms that counts. */
function firstMs(text: string): number {
  const from = parseSince(text, NOW)(0);
  expect(from).toMatch(/-18446744073709551615$/);
  return Number(from.split('-')[0]) + 1;
}

it.each([
  ['90s', NOW - 90_000],
  ['15m', NOW - 15 * 60_000],
  ['2h', NOW - 2 * 3_600_000],
  ['3d', NOW - 3 * 86_400_000],
  ['0s', NOW],
  ['2026-01-31T11:59:59.999Z', NOW - 1],
  ['2026-01-31T13:00:00+01:00', NOW],
  ['2026-01-31', Date.UTC(2026, 0, 31)],
  ['2026-01-31T12:00', new Date(2026, 0, 31, 12).getTime()],
])('begins with the instant that %s means', (text, ms) => {
  expect(firstMs(text)).toBe(ms);
});

it('begins with the log when the age is greater than the world’s', () => {
  expect(parseSince('999999d', NOW)(0)).toBe('0-0');
});

it('begins after an event, in the order of all partitions', () => {
  const since = parseSince('2:1700000000000-0', NOW);
  expect(since(2)).toBe('1700000000000-0');
  expect(since(1)).toBe('1700000000000-0');
  expect(compareEntryIds('1700000000000-0', since(3))).toBe(1);
  expect(compareEntryIds('1699999999999-99', since(3))).toBe(-1);
});

it('begins with the log by default', () => {
  expect(fromStart(0)).toBe('0-0');
});

it.each([
  '',
  'yesterday',
  '15',
  '15 m',
  '-2h',
  '1.5h',
  '2026',
  '2026-13-01',
  '2026-01-31 12:00',
  '1700000000000-0',
  '0:5',
  '0:5-x',
  'x:5-0',
])('refuses %j in one clear sentence', (text) => {
  expect(() => parseSince(text, NOW)).toThrow(`${JSON.stringify(text)} is not a time`);
});
