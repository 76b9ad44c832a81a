import { describe, expect, it } from 'vitest';
import { Pace } from '../../../src/account/pace.js';

describe('a pace', () => {
  it('admits each account so many times in a window', () => {
    const pace = new Pace(2, 1000);
    const admitted = (account: string, now: number) => pace.admits(account, now);
    expect([admitted('a', 0), admitted('a', 1), admitted('a', 2)]).toEqual([true, true, false]);
    expect([admitted('b', 3), admitted('a', 999)]).toEqual([true, false]);
    expect([admitted('a', 1000), admitted('a', 1001), admitted('a', 1002)]).toEqual([true, true, false]);
  });

  it('has no limit with 0', () => {
    const pace = new Pace(0, 1000);
    expect(Array.from({ length: 1000 }, () => pace.admits('a')).every(Boolean)).toBe(true);
  });
});
