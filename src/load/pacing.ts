import { nowMs } from './clock.js';

/** When operations are due. The times don't depend on how the server does. */
export interface Schedule {
  /** How many there are. */
  readonly operations: number;
  /** When one is due, counted from 0, in ms since the beginning. Never earlier than the one before. */
  dueMs(operation: number): number;
}

/** One worker's part of a schedule: every `workers`th operation, from `worker` on. */
export interface Share {
  readonly worker: number;
  readonly workers: number;
}

/** Operations at even intervals. @param rate operations a second, all workers together @param durationMs of the run */
export function evenly(rate: number, durationMs: number, { worker, workers }: Share): Schedule {
  const total = Math.round((rate * durationMs) / 1000);
  return {
    operations: Math.max(0, Math.ceil((total - worker) / workers)),
    dueMs: (operation) => ((operation * workers + worker) * 1000) / rate,
  };
}

/** As many operations as there are clients, all at once, again and again. @param clients of this worker */
export function inWaves(everyMs: number, durationMs: number, clients: number): Schedule {
  return {
    operations: Math.ceil(durationMs / everyMs) * clients,
    dueMs: (operation) => Math.floor(operation / clients) * everyMs,
  };
}

/**
 * Hands out operations to clients. With a schedule each has the time at which it was due; when no client is free then, it
 * waits in line, first come first served, and its time stays. Without a schedule a client always gets one at once.
 */
export class Pacer {
  /** Clients that wait for an operation. */
  private readonly free: ((intendedMs: number | null) => void)[] = [];
  private freeFrom = 0;
  private next = 0;
  private timer: NodeJS.Timeout | undefined;
  /** Whether nothing is handed out any more. */
  isOver = false;

  /**
   * @param beginMs when the run begins, by `nowMs`
   * @param endMs when it ends, without a schedule
   */
  constructor(
    private readonly schedule: Schedule | null,
    private readonly beginMs: number,
    private readonly endMs: number,
  ) {}

  /** Operations of the schedule that have not been handed out. */
  get remaining(): number {
    return this.schedule ? this.schedule.operations - this.next : 0;
  }

  /** Waits for an operation. @returns when it was due, by `nowMs`; null: there is none any more */
  take(): Promise<number | null> | number | null {
    const now = nowMs();
    if (this.isOver) return null;
    if (!this.schedule) return now < this.endMs ? now : null;
    if (this.next >= this.schedule.operations) return null;
    const dueMs = this.beginMs + this.schedule.dueMs(this.next);
    if (dueMs <= now && this.freeFrom === this.free.length) {
      this.next += 1;
      return dueMs;
    }
    return new Promise((resolve) => {
      this.free.push(resolve);
      this.handOut();
    });
  }

  /** Hands out nothing more. */
  stop(): void {
    this.isOver = true;
    clearTimeout(this.timer);
    this.dismiss();
  }

  /** Hands out what is due to those who are free, now and when more is due. */
  private handOut(): void {
    const schedule = this.schedule!;
    const now = nowMs();
    while (this.freeFrom < this.free.length && this.next < schedule.operations) {
      const dueMs = this.beginMs + schedule.dueMs(this.next);
      if (dueMs > now) {
        this.timer ??= setTimeout(() => {
          this.timer = undefined;
          this.handOut();
        }, dueMs - now);
        break;
      }
      this.next += 1;
      this.free[this.freeFrom++]!(dueMs);
    }
    if (this.next >= schedule.operations) this.dismiss();
    if (this.freeFrom * 2 >= this.free.length) {
      this.free.splice(0, this.freeFrom);
      this.freeFrom = 0;
    }
  }

  private dismiss(): void {
    for (const resolve of this.free.splice(0).slice(this.freeFrom)) resolve(null);
    this.freeFrom = 0;
  }
}
