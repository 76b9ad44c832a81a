import { expect, it } from 'vitest';
import { Tally } from '../../src/load/tally.js';

it('merges what others have counted as if one had counted it all', () => {
  const [whole, merged] = [new Tally(), new Tally()];
  const parts = [new Tally(), new Tally(), new Tally()];
  for (let i = 0; i < 5000; i += 1) {
    const latencyMs = (i * i) / 1000;
    for (const tally of [whole, parts[i % 3]!]) {
      tally.done(i % 2 ? 'login' : 'logout', latencyMs);
      tally.count('pings');
      if (i % 100 === 0) tally.failed(`problem ${i % 300}`);
    }
  }
  for (const part of parts) merged.add(part.take());
  for (const [operation, expected] of Object.entries(whole.latencies())) {
    const latencies = merged.latencies()[operation]!;
    expect(latencies.count).toBe(expected.count);
    for (const [name, value] of Object.entries(expected)) {
      expect(Math.abs(latencies[name as keyof typeof expected] / value - 1), name).toBeLessThan(0.001); // three digits
    }
  }
  expect(merged.errors()).toEqual(whole.errors());
  expect(merged.counters()).toEqual({ pings: 5000 });
  expect(merged.countOf('login')).toBe(2500);
});

it('counts from zero again after it was taken', () => {
  const tally = new Tally();
  tally.done('login', 1);
  tally.failed('problem');
  tally.count('pings');
  tally.take();
  expect(tally.take()).toEqual({ operations: {}, errors: {}, counters: {} });
});
