import { createHash } from 'node:crypto';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { Unavailable } from '../redis/unavailable.js';

const QUARTER_HOUR_SECONDS = 15 * 60;
const HOUR_SECONDS = 3600;

/** Addresses remembered by a node for having failed with a token. */
const SUSPECTS = 10_000;

export interface AttemptLimits {
  /** Failed logins per account and address in 15 minutes, 0: no limit. */
  readonly perAccount: number;
  /** Failed logins per address in 15 minutes, 0: no limit. */
  readonly perAddress: number;
  /** Registrations per address in an hour, 0: no limit. */
  readonly registrations: number;
}

/** Whether an attempt may go on; if not, after how many seconds. */
export type Admission =
  | { readonly admitted: true }
  | { readonly admitted: false; readonly retryAfterSeconds: number };

const ADMITTED: Admission = { admitted: true };

/**
 * Counts attempts to log in and to register, in Redis, for all nodes together. Never by account alone, or anyone could
 * lock a player out. Every method throws `Unavailable` when Redis can't be asked.
 */
export class Attempts {
  private readonly account: RateLimiterRedis | null;
  private readonly address: RateLimiterRedis | null;
  private readonly registration: RateLimiterRedis | null;
  private readonly suspects = new Set<string>();

  constructor(redis: RedisClient, keys: Keys, limits: AttemptLimits) {
    const limiter = (name: string, points: number, duration: number) =>
      points === 0
        ? null
        : new RateLimiterRedis({
            storeClient: redis.raw,
            keyPrefix: keys.limit(name),
            points,
            duration,
            rejectIfRedisNotReady: true,
          });
    this.account = limiter('account', limits.perAccount, QUARTER_HOUR_SECONDS);
    this.address = limiter('address', limits.perAddress, QUARTER_HOUR_SECONDS);
    this.registration = limiter('registration', limits.registrations, HOUR_SECONDS);
  }

  /** Before a login by password: counts it as failed, for as long as it hasn't succeeded. */
  async beginLogin(username: string, address: string): Promise<Admission> {
    const [byAddress, byAccount] = await Promise.all([
      isUsedUp(this.address, address),
      consume(this.account, accountKey(username, address)),
    ]);
    return byAddress.admitted ? byAccount : byAddress;
  }

  /** The login has failed. */
  async loginFailed(address: string): Promise<void> {
    await consume(this.address, address);
  }

  /** The login has succeeded, or could not be tried: takes back what `beginLogin` counted. */
  async loginDidNotFail(username: string, address: string): Promise<void> {
    await asking(this.account?.reward(accountKey(username, address), 1));
  }

  /** Before a login by token. Asks Redis only for addresses that have failed here before. */
  async beginTokenLogin(address: string): Promise<Admission> {
    return this.suspects.has(address) ? isUsedUp(this.address, address) : ADMITTED;
  }

  /** A login by token has failed; tells whether that was one too many. */
  async tokenLoginFailed(address: string): Promise<Admission> {
    if (!this.address) return ADMITTED;
    this.suspects.delete(address);
    this.suspects.add(address);
    if (this.suspects.size > SUSPECTS) this.suspects.delete(this.suspects.values().next().value!);
    return consume(this.address, address);
  }

  /** Before a registration: counts it. */
  async beginRegistration(address: string): Promise<Admission> {
    return consume(this.registration, address);
  }
}

/** Names are not bounded in length and may hold anything; their hashes are and don't. */
function accountKey(username: string, address: string): string {
  return `${createHash('sha256').update(username).digest('base64url')}:${address}`;
}

async function consume(limiter: RateLimiterRedis | null, key: string): Promise<Admission> {
  if (!limiter) return ADMITTED;
  try {
    await limiter.consume(key);
    return ADMITTED;
  } catch (rejection) {
    if (rejection instanceof RateLimiterRes) return refused(rejection);
    throw new Unavailable(rejection);
  }
}

async function isUsedUp(limiter: RateLimiterRedis | null, key: string): Promise<Admission> {
  const used = await asking(limiter?.get(key));
  return used && limiter && used.consumedPoints >= limiter.points ? refused(used) : ADMITTED;
}

async function asking<T>(answer: Promise<T> | undefined): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    throw new Unavailable(error);
  }
}

function refused({ msBeforeNext }: RateLimiterRes): Admission {
  return { admitted: false, retryAfterSeconds: Math.max(1, Math.ceil(msBeforeNext / 1000)) };
}
