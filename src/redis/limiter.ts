import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { RedisClient } from './client.js';
import type { Keys } from './keys.js';
import { reading, Unavailable } from './unavailable.js';

/** Whether something may go on; if not, after how many seconds. */
export type Admission =
  | { readonly admitted: true }
  | { readonly admitted: false; readonly retryAfterSeconds: number };

export const ADMITTED: Admission = { admitted: true };

/** Counts in Redis, for all nodes together, what may be done so often in so many seconds. Its methods throw `Unavailable`. */
export class Limiter {
  private readonly limiter: RateLimiterRedis | null;

  /** @param points how often, 0: no limit */
  constructor(redis: RedisClient, keys: Keys, name: string, points: number, seconds: number) {
    this.limiter =
      points === 0
        ? null
        : new RateLimiterRedis({
            storeClient: redis.raw,
            keyPrefix: keys.limit(name),
            points,
            duration: seconds,
            rejectIfRedisNotReady: true,
          });
  }

  get isUnlimited(): boolean {
    return this.limiter === null;
  }

  /** Counts it. */
  async consume(key: string): Promise<Admission> {
    try {
      await this.limiter?.consume(key);
      return ADMITTED;
    } catch (rejection) {
      if (rejection instanceof RateLimiterRes) return refused(rejection);
      throw new Unavailable(rejection);
    }
  }

  /** Looks whether it could still be done. */
  async ask(key: string): Promise<Admission> {
    if (!this.limiter) return ADMITTED;
    const used = await reading(this.limiter.get(key));
    return used && used.consumedPoints >= this.limiter.points ? refused(used) : ADMITTED;
  }

  /** Takes one count back. */
  async giveBack(key: string): Promise<void> {
    if (this.limiter) await reading(this.limiter.reward(key, 1));
  }
}

function refused({ msBeforeNext }: RateLimiterRes): Admission {
  return { admitted: false, retryAfterSeconds: Math.max(1, Math.ceil(msBeforeNext / 1000)) };
}
