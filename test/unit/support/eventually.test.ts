import { expect, test } from 'vitest';
import { eventually } from '../../support/eventually.js';

test('gives the value once the condition holds', async () => {
  let calls = 0;
  const value = await eventually(() => ++calls === 3 && 'done', { intervalMs: 1 });
  expect(value).toBe('done');
});

test('takes a block of assertions that passes for success', async () => {
  let calls = 0;
  await eventually(
    () => {
      expect(++calls).toBeGreaterThan(2);
    },
    { intervalMs: 1 },
  );
  expect(calls).toBe(3);
});

test('reports the last error and what was waited for', async () => {
  const attempt = eventually(() => expect(1).toBe(2), {
    timeoutMs: 30,
    intervalMs: 5,
    message: 'one is two',
  });
  await expect(attempt).rejects.toThrow(/^one is two \(not within 30 ms\): expected 1 to be 2/);
});

test('reports the last value of a condition that never holds', async () => {
  const attempt = eventually(async () => false, { timeoutMs: 30, intervalMs: 5, message: 'truth' });
  await expect(attempt).rejects.toThrow('truth (not within 30 ms): the last attempt gave false');
});

test('reports an attempt that never settles', async () => {
  const attempt = eventually(() => new Promise<boolean>(() => {}), { timeoutMs: 30, message: 'end' });
  await expect(attempt).rejects.toThrow('end (not within 30 ms): the last attempt is still running');
});
