/**
 * Redis' time, estimated between the answers that carry it, so that no deadline depends on this machine's wall clock
 * (only on its pace).
 */
export class RedisClock {
  private offsetMs: number | undefined;

  /** Takes note of Redis' time, in ms since the epoch, as just received. */
  observe(redisMs: number): void {
    this.offsetMs = redisMs - performance.now();
  }

  /** Redis' time in ms since the epoch, late by a network delay at most. Before the first observation: this machine's. */
  now(): number {
    return this.offsetMs === undefined ? Date.now() : Math.round(performance.now() + this.offsetMs);
  }
}
