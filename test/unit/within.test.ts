import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { within } from '../../src/within.js';

const late = <T>(value: T) => delay(30, value);

it('gives the value if it comes in time', async () => {
  expect(await within(1000, delay(1, 'value'))).toBe('value');
  expect(await within(1000, delay(1, 'value'), async (value) => `${value}!`)).toBe('value!');
});

it('gives undefined if it does not, and does not wait for it', async () => {
  expect(await within(1, late('value'))).toBeUndefined();
});

it('makes something of it once, however late the value comes', async () => {
  const used: unknown[] = [];
  const value = late('value');
  await within(1, value, (it) => used.push(it));
  await value;
  await delay(1);
  expect(used).toEqual([undefined]);
});

it('fails as the promise does, or what is made of it', async () => {
  const failing = async () => {
    throw new Error('failed');
  };
  await expect(within(1000, failing())).rejects.toThrow('failed');
  await expect(within(1000, late('value'), failing)).rejects.toThrow('failed');
  await expect(
    within(1, late('value'), () => {
      throw new Error('failed at once');
    }),
  ).rejects.toThrow('failed at once');
});

it('does not mind a failure that comes too late', async () => {
  const failing = late('value').then(() => {
    throw new Error('failed');
  });
  expect(await within(1, failing)).toBeUndefined();
  await expect(failing).rejects.toThrow('failed');
});
