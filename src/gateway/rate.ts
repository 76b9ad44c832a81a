/** Sums of times are not exact. */
const ROUNDING_MS = 0.001;

/**
 * Limits a rate: `burst` at once, `perSecond` on average. It remembers nothing itself: whoever is limited keeps one number,
 * the time until which his share is used up, at first 0 (the virtual scheduling of ITU-T I.371, known as GCRA).
 */
export class Rate {
  private readonly intervalMs: number;
  private readonly toleranceMs: number;

  /**
   * @param perSecond 0: no limit
   * @param burst 0: no limit
   */
  constructor(
    perSecond: number,
    readonly burst: number,
  ) {
    const isUnlimited = perSecond === 0 || burst === 0;
    this.intervalMs = isUnlimited ? 0 : 1000 / perSecond;
    this.toleranceMs = (burst - 1) * this.intervalMs + ROUNDING_MS;
  }

  get isUnlimited(): boolean {
    return this.intervalMs === 0;
  }

  /**
   * Whether one more is within the limit, and until when the share is used up then; null: it isn't.
   * @param usedUntil what it gave last, or 0
   * @param now a clock's time in ms
   */
  admit(usedUntil: number, now: number): number | null {
    const from = Math.max(usedUntil, now);
    return from - now > this.toleranceMs ? null : from + this.intervalMs;
  }
}
