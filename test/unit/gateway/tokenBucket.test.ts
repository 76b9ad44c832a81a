import { describe, expect, it } from 'vitest';
import { TokenBucket } from '../../../src/gateway/tokenBucket.js';

const takes = (bucket: TokenBucket, times: number, now: number) =>
  Array.from({ length: times }, () => bucket.take(now)).filter(Boolean).length;

describe('a token bucket', () => {
  it('gives the burst at once and no more', () => {
    expect(takes(new TokenBucket(10, 5, 0), 8, 0)).toBe(5);
  });

  it('fills at its rate, up to the burst', () => {
    const bucket = new TokenBucket(10, 5, 0);
    takes(bucket, 5, 0);
    expect(takes(bucket, 5, 300)).toBe(3);
    expect(takes(bucket, 50, 60_000)).toBe(5);
  });

  it.each([
    [0, 5],
    [10, 0],
  ])('has no limit with a rate of %i and a burst of %i', (rate, burst) => {
    expect(takes(new TokenBucket(rate, burst, 0), 1000, 0)).toBe(1000);
  });
});
