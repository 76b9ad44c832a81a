import { describe, expect, it } from 'vitest';
import { Rate } from '../../../src/gateway/rate.js';

/** Somebody who is limited. */
class Sender {
  private usedUntil = 0;

  constructor(private readonly rate: Rate) {}

  /** How many of so many are admitted. */
  send(times: number, now: number): number {
    let admitted = 0;
    for (let i = 0; i < times; i += 1) {
      const usedUntil = this.rate.admit(this.usedUntil, now);
      if (usedUntil === null) continue;
      this.usedUntil = usedUntil;
      admitted += 1;
    }
    return admitted;
  }
}

describe('a rate', () => {
  it('admits the burst at once and no more', () => {
    expect(new Sender(new Rate(10, 5)).send(8, 0)).toBe(5);
    expect(new Sender(new Rate(10, 5)).send(8, 123_456.7)).toBe(5);
  });

  it('admits more as time goes by, up to the burst', () => {
    const sender = new Sender(new Rate(10, 5));
    sender.send(5, 0);
    expect(sender.send(5, 300)).toBe(3);
    expect(sender.send(50, 60_000)).toBe(5);
  });

  it('is for each sender by himself', () => {
    const rate = new Rate(10, 5);
    new Sender(rate).send(8, 0);
    expect(new Sender(rate).send(8, 0)).toBe(5);
  });

  it.each([
    [0, 5],
    [10, 0],
  ])('has no limit with %i a second and a burst of %i', (perSecond, burst) => {
    const rate = new Rate(perSecond, burst);
    expect(rate.isUnlimited).toBe(true);
    expect(new Sender(rate).send(1000, 0)).toBe(1000);
  });
});
