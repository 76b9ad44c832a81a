import { expect, it } from 'vitest';
import { compareEntryIds, entryIdBefore, isEntryId, timeOfEntry } from '../../../src/log/entryId.js';

it('compares ids by number, part by part', () => {
  const inOrder = ['0-0', '0-1', '0-2', '0-10', '9-0', '10-0', '1700000000000-9', '1700000000000-10'];
  const shuffled = [...inOrder].sort();
  expect(shuffled).not.toEqual(inOrder);
  expect(shuffled.sort(compareEntryIds)).toEqual(inOrder);
  expect(compareEntryIds('5-5', '5-5')).toBe(0);
});

it('compares numbers of 64 bits', () => {
  expect(compareEntryIds('1-18446744073709551614', '1-18446744073709551615')).toBe(-1);
  expect(compareEntryIds('18446744073709551615-0', '18446744073709551614-0')).toBe(1);
});

it.each([
  ['5-3', '5-2'],
  ['5-0', '4-18446744073709551615'],
  ['0-1', '0-0'],
  ['0-0', '0-0'],
])('finds the id before %s', (id, before) => {
  expect(entryIdBefore(id)).toBe(before);
});

it('tells the time of an entry', () => {
  expect(timeOfEntry('1700000000123-4')).toBe(1_700_000_000_123);
});

it.each(['', '-', '5', '5-', '-5', '5-x', '1-18446744073709551616', '0x1-1', ' 1-1'])(
  'takes %j for no id',
  (text) => {
    expect(isEntryId(text)).toBe(false);
  },
);
