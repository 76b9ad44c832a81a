import { describe, expect, it } from 'vitest';
import { added, bucketsIn, ceiling, quantile } from '../../src/load/buckets.js';

const textOf = (...counts: number[]) =>
  [0.001, 0.01, 0.1, '+Inf'].map((bound, i) => `delay_seconds_bucket{le="${bound}"} ${counts[i]}`).join('\n');

describe('a histogram of Prometheus', () => {
  const before = bucketsIn(textOf(7, 7, 8, 9), 'delay_seconds');
  const during = added(before, bucketsIn(`# TYPE\n${textOf(57, 106, 108, 109)}\n`, 'delay_seconds'));

  it('tells what a share was at most, spread evenly within a bucket', () => {
    expect(quantile(during, 0.5)).toBeCloseTo(0.001, 6);
    expect(quantile(during, 0.99)).toBeCloseTo(0.01, 6);
    expect(quantile(during, 0.745)).toBeCloseTo(0.0055, 6);
    expect(quantile(during, 1)).toBeCloseTo(0.1, 6);
  });

  it('tells what nothing was above', () => {
    expect(ceiling(during)).toBe(0.1);
    expect(ceiling(before)).toBe(Infinity);
    expect(quantile(before, 1)).toBe(0.1);
  });

  it('of nothing is 0', () => {
    for (const none of [bucketsIn('', 'delay_seconds'), added(before, before)]) {
      expect([quantile(none, 0.99), ceiling(none)]).toEqual([0, 0]);
    }
  });
});
