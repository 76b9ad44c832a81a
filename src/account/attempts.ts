import { createHash } from 'node:crypto';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { ADMITTED, type Admission, Limiter } from '../redis/limiter.js';

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

/**
 * Counts attempts to log in and to register, in Redis, for all nodes together. Never by account alone, or anyone could
 * lock a player out. Every method throws `Unavailable` when Redis can't be asked.
 */
export class Attempts {
  private readonly account: Limiter;
  private readonly address: Limiter;
  private readonly registration: Limiter;
  private readonly suspects = new Set<string>();

  constructor(redis: RedisClient, keys: Keys, limits: AttemptLimits) {
    this.account = new Limiter(redis, keys, 'account', limits.perAccount, QUARTER_HOUR_SECONDS);
    this.address = new Limiter(redis, keys, 'address', limits.perAddress, QUARTER_HOUR_SECONDS);
    this.registration = new Limiter(redis, keys, 'registration', limits.registrations, HOUR_SECONDS);
  }

  /** Before a login by password: counts it as failed, for as long as it hasn't succeeded. */
  async beginLogin(username: string, address: string): Promise<Admission> {
    const admission = await this.address.ask(address);
    return admission.admitted ? this.account.consume(accountKey(username, address)) : admission;
  }

  /** The login has failed. */
  async loginFailed(address: string): Promise<void> {
    await this.address.consume(address);
  }

  /** The login has succeeded, or could not be tried: takes back what `beginLogin` counted. */
  async loginDidNotFail(username: string, address: string): Promise<void> {
    await this.account.giveBack(accountKey(username, address));
  }

  /** Whether an address has failed to log in by token here before; if not, `beginTokenLogin` would say yes. */
  isSuspect(address: string): boolean {
    return this.suspects.has(address);
  }

  /** Before a login by token of a suspect. */
  async beginTokenLogin(address: string): Promise<Admission> {
    return this.address.ask(address);
  }

  /** A login by token has failed; tells whether that was one too many. */
  async tokenLoginFailed(address: string): Promise<Admission> {
    if (this.address.isUnlimited) return ADMITTED;
    this.suspects.delete(address);
    this.suspects.add(address);
    if (this.suspects.size > SUSPECTS) this.suspects.delete(this.suspects.values().next().value!);
    return this.address.consume(address);
  }

  /** Before a registration: counts it. */
  async beginRegistration(address: string): Promise<Admission> {
    return this.registration.consume(address);
  }
}

/** Names are not bounded in length and may hold anything; their hashes are and don't. */
function accountKey(username: string, address: string): string {
  return `${createHash('sha256').update(username).digest('base64url')}:${address}`;
}
