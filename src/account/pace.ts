/** How often something may be done for an account, counted by this process: so many times in each window of time. */
export class Pace {
  private counts = new Map<string, number>();
  private endsAt = 0;

  /** @param most times in a window; 0: no limit */
  constructor(
    private readonly most: number,
    private readonly windowMs: number,
  ) {}

  /** Whether it may be done once more; if so, it is counted. @param now by `performance.now()` */
  admits(accountId: string, now = performance.now()): boolean {
    if (this.most === 0) return true;
    if (now >= this.endsAt) {
      this.counts = new Map();
      this.endsAt = now + this.windowMs;
    }
    const count = (this.counts.get(accountId) ?? 0) + 1;
    if (count > this.most) return false;
    this.counts.set(accountId, count);
    return true;
  }
}
