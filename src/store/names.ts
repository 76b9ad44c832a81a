import type { Logger } from 'pino';
import { each } from '../each.js';
import { NO_RECORD, parseRecord } from '../log/operation.js';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { reading } from '../redis/unavailable.js';
import { type Change, type Commit, type Log, noChange } from './change.js';
import { type Claim, type Claims, readClaim } from './claims.js';
import { accountOfSession, bucketOfId, bucketOfUsername, hashName } from './ids.js';
import { freedNameOf } from './sessionRecord.js';

/** Freed names as they are seen to in a round of the sweep. */
const SWEEP_BATCH = 100;

/**
 * Who a name belongs to: an account that is registered by it, or one that has it as the display name of a session. No two
 * accounts share one. The claim of a display name is in the partition of the account that would be registered by it, so a
 * registration and a claim can each look for the other in their own commit. A claim whose name no session has any more may
 * still stand for a moment, or after a crash; it holds up nobody. All names are after NFC.
 */
export class Names {
  constructor(
    private readonly redis: RedisClient,
    private readonly keys: Keys,
    private readonly log: Log,
    private readonly claims: Claims,
    private readonly logger: Logger,
  ) {}

  /** The account that a name belongs to, or null. @throws Unavailable */
  async accountOf(name: string): Promise<string | null> {
    const { userKey, claimKey, value } = this.placeOf(name);
    const [user, stored] = await reading(this.redis.raw.mget(userKey, claimKey));
    const record = parseRecord(user);
    if (record) return (JSON.parse(record.body) as { accountId: string }).accountId;
    const claim = readClaim('name', value, parseRecord(stored));
    return claim && (await this.claims.isOwned(claim)) ? claim.owner : null;
  }

  /**
   * Reserves a display name for a session of an account.
   * @returns null if it belongs to another account
   * @throws Unavailable, and whatever `commit` throws
   */
  async reserve(name: string, accountId: string, commit: Commit): Promise<Claim | null> {
    const { userKey, value } = this.placeOf(name);
    for (;;) {
      const previous = await this.claims.find('name', value);
      if (previous && previous.owner !== accountId && (await this.isTaken(previous))) return null;
      // another session of the account may be about to have it by a claim that will not stand any more
      if (previous && !previous.isConfirmed) await this.claims.fenceOff(previous, commit);
      const also = [{ key: userKey, version: NO_RECORD }];
      const claim = await this.claims.reserve('name', value, accountId, commit, { previous, also });
      if (typeof claim !== 'number') return claim;
      if (claim > 0) return null;
    }
  }

  /** Whether an account can be registered by a name as far as display names are concerned. @throws Unavailable */
  async isFree(name: string): Promise<boolean> {
    const claim = await this.claims.find('name', hashName(name));
    if (!claim) return true;
    if (await this.isTaken(claim)) return false;
    await this.claims.settle(claim);
    return true;
  }

  /** What a registration must be joined with: it fails if the name is a display name. */
  guard(name: string): Change {
    return { ...noChange, checks: [{ key: this.placeOf(name).claimKey, version: NO_RECORD }] };
  }

  /** A session has a display name no more: sees to its claim, in the background. What fails is left to the sweep. */
  freed(sessionId: string, name: string): void {
    this.release(freedNameOf(sessionId, name)).catch((error: unknown) => {
      this.logger.debug({ err: error, session: sessionId }, 'display name is left to the sweep');
    });
  }

  /**
   * Sees to the names of a partition's sessions that were freed before a time.
   * @param before Redis' time in ms since the epoch
   * @throws Unavailable
   */
  async sweep(partition: number, before: number): Promise<void> {
    const freed = this.keys.freedNames(partition);
    const members = await reading(
      this.redis.raw.zrangebyscore(freed, '-inf', before, 'LIMIT', 0, SWEEP_BATCH),
    );
    await each(members, (member) => this.release(member));
  }

  /**
   * Gives a claim up, unless another session of the account has the name. One that is only reserved may be about to be had by
   * another, or to be confirmed for this one: it is left to the sweep.
   * @param member see `freedNameOf`
   */
  private async release(member: string): Promise<void> {
    const [sessionId, value] = member.split(':') as [string, string];
    const claim = await this.claims.find('name', value);
    if (claim?.owner === accountOfSession(sessionId)) {
      if (!claim.isConfirmed) return;
      await this.claims.settle(claim);
    }
    const partition = this.keys.partitionOf(bucketOfId(sessionId));
    await this.log.commit({
      partition,
      checks: [],
      events: [],
      writes: [['unrank', this.keys.freedNames(partition), member]],
    });
  }

  private async isTaken(claim: Claim): Promise<boolean> {
    return !claim.isConfirmed || (await this.claims.isOwned(claim));
  }

  private placeOf(name: string): { userKey: string; claimKey: string; value: string } {
    const partition = this.keys.partitionOf(bucketOfUsername(name));
    const value = hashName(name);
    return {
      userKey: this.keys.user(partition, name),
      claimKey: this.keys.claim(partition, 'name', value),
      value,
    };
  }
}
