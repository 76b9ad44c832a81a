import { expect, it } from 'vitest';
import { readConfig } from '../../../src/config/config.js';

it.each([
  [{}, 3],
  [{ UV_THREADPOOL_SIZE: '16' }, 15],
  [{ UV_THREADPOOL_SIZE: '1' }, 1],
])(
  'leaves a thread of the pool to others than passwords: with %o, %i are for hashing',
  (environment, threads) => {
    expect(readConfig(environment).hashThreads).toBe(threads);
  },
);
