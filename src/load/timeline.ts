import { nowMs } from './clock.js';
import { type FromWorkerOf, LATE } from './plan.js';
import type { Outcome, Second } from './result.js';
import { DELIVERIES_DUE, DELIVERY } from './scenarios/chat.js';
import { type Counts, Tally } from './tally.js';

/** What the workers count, second by second and in all. */
export class Timeline {
  readonly total = new Tally();
  readonly seconds: Second[] = [];
  private wake = () => {};
  /** Seconds that not all workers have told of yet. */
  private readonly open = new Map<number, { tally: Tally; connected: number; missing: number }>();

  constructor(
    private readonly workers: number,
    private readonly onSecond: (second: Second) => void,
  ) {}

  add({ second, connected, counts }: FromWorkerOf<'second'>): void {
    const entry = this.open.get(second) ?? { tally: new Tally(), connected: 0, missing: this.workers };
    this.open.set(second, entry);
    entry.tally.add(counts);
    entry.connected += connected;
    entry.missing -= 1;
    this.total.add(counts);
    if (entry.missing > 0) return;
    this.open.delete(second);
    const { [LATE]: _, ...operations } = entry.tally.latencies();
    const done = { ...outcomeOf(entry.tally), operations, second, connected: entry.connected };
    this.seconds.push(done);
    this.onSecond(done);
    this.wake();
  }

  /** Chat messages that are still to be received. */
  get undelivered(): number {
    return this.total.counted(DELIVERIES_DUE) - this.total.countOf(DELIVERY);
  }

  /** Waits until none is, or until it has taken too long. */
  async allDelivered(timeoutMs: number): Promise<void> {
    const deadlineMs = nowMs() + timeoutMs;
    while (this.total.counted(DELIVERIES_DUE) > 0 && nowMs() < deadlineMs) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      if (this.undelivered <= 0) return;
    }
  }

  /** What came after the last whole second. */
  addRest(counts: Counts): void {
    this.total.add(counts);
  }
}

/** What a tally has counted. */
export function outcomeOf(tally: Tally): Outcome {
  return { operations: tally.latencies(), errors: tally.errors(), counters: tally.counters() };
}
