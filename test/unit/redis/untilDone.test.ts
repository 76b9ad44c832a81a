import { pino } from 'pino';
import { beforeEach, expect, it } from 'vitest';
import { Unavailable } from '../../../src/redis/unavailable.js';
import { untilDoneWith } from '../../../src/redis/untilDone.js';

const untilDone = untilDoneWith(pino({ level: 'silent' }));

/** What becomes of each attempt, in turn. */
let attempts: (string | Error)[];
let ended: number;

beforeEach(() => {
  ended = 0;
});

async function work(): Promise<string> {
  expect(ended).toBe(0);
  const result = attempts.shift()!;
  if (result instanceof Error) throw result;
  return result;
}

const end = () => {
  ended += 1;
};

it('does it once if that works', async () => {
  attempts = ['done', 'done again'];
  expect(await untilDone(work, end)).toBe('done');
  expect([attempts.length, ended]).toEqual([1, 1]);
});

it('tries again while Redis is away', async () => {
  attempts = [new Unavailable(), new Unavailable(), 'done'];
  expect(await untilDone(work, end)).toBe('done');
  expect([attempts.length, ended]).toEqual([0, 1]);
});

it('gives up on any other error, at once or later', async () => {
  for (const before of [[], [new Unavailable()]]) {
    ended = 0;
    attempts = [...before, new Error('closed'), 'done'];
    await expect(untilDone(work, end)).rejects.toThrow('closed');
    expect([attempts.length, ended]).toEqual([1, 1]);
  }
});
