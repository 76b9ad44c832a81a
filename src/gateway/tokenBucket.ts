/** Limits a rate: `burst` at once, `perSecond` on average. Costs two numbers and no timer. */
export class TokenBucket {
  private level: number;
  private filledAt: number;

  /**
   * @param perSecond 0: no limit
   * @param burst 0: no limit
   * @param now a clock's time in ms; the same clock as in `take`
   */
  constructor(
    private readonly perSecond: number,
    private readonly burst: number,
    now: number,
  ) {
    this.level = burst;
    this.filledAt = now;
  }

  /** Whether there is always one to take. */
  get isUnlimited(): boolean {
    return this.perSecond === 0 || this.burst === 0;
  }

  /** Takes one, if there is one. */
  take(now: number): boolean {
    if (this.isUnlimited) return true;
    this.level = Math.min(this.burst, this.level + ((now - this.filledAt) / 1000) * this.perSecond);
    this.filledAt = now;
    if (this.level < 1) return false;
    this.level -= 1;
    return true;
  }
}
