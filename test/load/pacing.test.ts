import { describe, expect, it } from 'vitest';
import { nowMs } from '../../src/load/clock.js';
import { evenly, inWaves, Pacer, type Schedule } from '../../src/load/pacing.js';

function timesOf({ operations, dueMs }: Schedule): number[] {
  return Array.from({ length: operations }, (_, operation) => dueMs(operation));
}

describe('evenly', () => {
  it('spreads operations over the run', () => {
    expect(timesOf(evenly(4, 2000, { worker: 0, workers: 1 }))).toEqual([
      0, 250, 500, 750, 1000, 1250, 1500, 1750,
    ]);
  });

  it.each([1, 2, 3, 7])('gives %i workers together the times of one', (workers) => {
    const shares = Array.from({ length: workers }, (_, worker) =>
      timesOf(evenly(10, 1700, { worker, workers })),
    );
    const whole = timesOf(evenly(10, 1700, { worker: 0, workers: 1 }));
    expect(shares.flat().sort((a, b) => a - b)).toEqual(whole);
  });
});

describe('inWaves', () => {
  it('has an operation for each client at once, again and again', () => {
    expect(timesOf(inWaves(1000, 2500, 2))).toEqual([0, 0, 1000, 1000, 2000, 2000]);
  });
});

describe('Pacer', () => {
  const pacerOf = (schedule: Schedule | null, beginMs: number, endMs = beginMs) =>
    new Pacer(schedule, beginMs, endMs);

  it('hands out what is overdue at once, with the time at which it was due', async () => {
    const beginMs = nowMs() - 1000;
    const pacer = pacerOf(evenly(2, 2000, { worker: 0, workers: 1 }), beginMs);
    expect(pacer.take()).toBe(beginMs);
    expect(pacer.take()).toBe(beginMs + 500);
    expect(pacer.take()).toBe(beginMs + 1000);
  });

  it('hands out nothing before it is due, first come first served', async () => {
    const beginMs = nowMs() + 20;
    const pacer = pacerOf(evenly(50, 60, { worker: 0, workers: 1 }), beginMs);
    const order: string[] = [];
    const takes = ['a', 'b', 'c', 'd'].map(async (name) => {
      const intendedMs = await pacer.take();
      if (intendedMs !== null) expect(nowMs()).toBeGreaterThanOrEqual(intendedMs);
      order.push(`${name} ${intendedMs === null ? 'nothing' : Math.round(intendedMs - beginMs)}`);
    });
    await Promise.all(takes);
    expect(order).toEqual(['a 0', 'b 20', 'c 40', 'd nothing']);
    expect(pacer.remaining).toBe(0);
  });

  it('lets those who wait go when it is stopped, and says what was not handed out', async () => {
    const pacer = pacerOf(evenly(1, 5000, { worker: 0, workers: 1 }), nowMs() + 60_000);
    const waiting = [pacer.take(), pacer.take()];
    pacer.stop();
    expect(await Promise.all(waiting)).toEqual([null, null]);
    expect(pacer.take()).toBeNull();
    expect(pacer.remaining).toBe(5);
  });

  it('without a schedule, hands out one after the other until the end', () => {
    const now = nowMs();
    const takenMs = pacerOf(null, now, now + 60_000).take() as number;
    expect(takenMs).toBeGreaterThanOrEqual(now);
    expect(pacerOf(null, now - 2, now - 1).take()).toBeNull();
  });
});
