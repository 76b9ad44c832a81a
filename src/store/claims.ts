import { createHash, randomInt } from 'node:crypto';
import { NO_RECORD, parseRecord } from '../log/operation.js';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { reading } from '../redis/unavailable.js';
import { type Change, type Log, noChange, operationOf } from './change.js';
import { bucketOfId } from './ids.js';
import type { Commit } from './sessions.js';

/**
 * Values that are unique beyond an account, such as email addresses. Each is a record in the value's own partition, which
 * need not be its owner's, so no commit can span both. Hence four steps: reserve the value, commit what needs it, confirm
 * the reservation, or release it. What a crash leaves reserved, the sweep settles.
 */
export interface Claim {
  readonly kind: 'email';
  /** Stands for the value in Redis: a hash of it. */
  readonly value: string;
  readonly owner: string;
  /** Version of its record; random, so that a claim is never taken for a later one. */
  readonly version: number;
}

type Body = [state: 'reserved' | 'confirmed', owner: string];

/** Versions must survive the JSON of Redis' Lua, which writes 14 digits. */
const MAX_VERSION = 2 ** 46;

/** How long a fence stands, in ms: longer than any node could still hold back a commit. */
const FENCE_MS = 7 * 24 * 3600 * 1000;

/** Claims as they are settled in a round of the sweep. */
const SWEEP_BATCH = 100;

export class Claims {
  constructor(
    private readonly redis: RedisClient,
    private readonly keys: Keys,
    private readonly log: Log,
  ) {}

  /** Whether an email address (in any letter case) is claimed. @throws Unavailable */
  async isEmailClaimed(email: string): Promise<boolean> {
    const value = hashOf(email);
    return (await reading(this.redis.raw.exists(this.keyOf('email', value)))) === 1;
  }

  /** Reserves an email address for an account; null if it is claimed. @throws whatever `commit` throws */
  async reserveEmail(email: string, accountId: string, commit: Commit): Promise<Claim | null> {
    const value = hashOf(email);
    const claim: Claim = { kind: 'email', value, owner: accountId, version: randomInt(1, MAX_VERSION) };
    const body: Body = ['reserved', accountId];
    const { partition, key, member } = this.placeOf(claim);
    const result = await commit({
      partition,
      checks: [{ key, version: NO_RECORD }],
      events: [],
      writes: [
        ['put', key, '', claim.version, JSON.stringify(body), 0],
        ['rank', this.keys.reservations(partition), member, 0],
      ],
    });
    return result.committed ? claim : null;
  }

  /** What the owner's own commit must be joined with: it fails if the sweep has given the reservation up. */
  guard(accountId: string): Change {
    const partition = this.keys.partitionOf(bucketOfId(accountId));
    return { ...noChange, checks: [{ key: this.keys.fence(partition, accountId), version: NO_RECORD }] };
  }

  /** The owner's commit is done: the value is its own from now on. */
  async confirm(claim: Claim): Promise<void> {
    const { partition, key, member } = this.placeOf(claim);
    const body: Body = ['confirmed', claim.owner];
    await this.log.commit({
      partition,
      checks: [{ key, version: claim.version }],
      events: [],
      writes: [
        ['put', key, '', claim.version, JSON.stringify(body), 0],
        ['unrank', this.keys.reservations(partition), member],
      ],
    });
  }

  /** The owner's commit was refused: the value is free again. */
  async release(claim: Claim): Promise<void> {
    const { partition, key, member } = this.placeOf(claim);
    await this.log.commit({
      partition,
      checks: [{ key, version: claim.version }],
      events: [],
      writes: [
        ['delete', key, ''],
        ['unrank', this.keys.reservations(partition), member],
      ],
    });
  }

  /**
   * Settles the reservations of a partition that are older than a time: confirms those whose owner is registered, and
   * releases the others after making sure that their owner can't be registered any more.
   * @param before Redis' time in ms since the epoch
   * @returns how many were settled
   * @throws Unavailable
   */
  async sweep(partition: number, before: number): Promise<number> {
    const reservations = this.keys.reservations(partition);
    const members = await reading(
      this.redis.raw.zrangebyscore(reservations, '-inf', before, 'LIMIT', 0, SWEEP_BATCH),
    );
    for (const member of members) {
      const claim = await this.load(member);
      if (!claim) {
        await this.dropRank(partition, member);
      } else if (await this.fenceOff(claim.owner)) {
        await this.release(claim);
      } else {
        await this.confirm(claim);
      }
    }
    return members.length;
  }

  /** A reservation without a claim; should there be one again by now, it stays. */
  private async dropRank(partition: number, member: string): Promise<void> {
    const [kind, value] = member.split(':') as [Claim['kind'], string];
    await this.log.commit({
      partition,
      checks: [{ key: this.keyOf(kind, value), version: NO_RECORD }],
      events: [],
      writes: [['unrank', this.keys.reservations(partition), member]],
    });
  }

  /** Makes sure that an account is never registered; false if it is already. */
  private async fenceOff(accountId: string): Promise<boolean> {
    const partition = this.keys.partitionOf(bucketOfId(accountId));
    const until = Date.now() + FENCE_MS;
    const result = await this.log.commit(
      operationOf(partition, {
        checks: [{ key: this.keys.account(partition, accountId), version: NO_RECORD }],
        events: [],
        writes: [['put', this.keys.fence(partition, accountId), '', 1, '', until]],
      }),
    );
    return result.committed;
  }

  private async load(member: string): Promise<Claim | null> {
    const [kind, value] = member.split(':') as [Claim['kind'], string];
    const record = parseRecord(await reading(this.redis.raw.get(this.keyOf(kind, value))));
    if (!record) return null;
    const [, owner] = JSON.parse(record.body) as Body;
    return { kind, value, owner, version: record.version };
  }

  private placeOf({ kind, value }: Claim): { partition: number; key: string; member: string } {
    return { partition: this.partitionOf(value), key: this.keyOf(kind, value), member: `${kind}:${value}` };
  }

  private keyOf(kind: Claim['kind'], value: string): string {
    return this.keys.claim(this.partitionOf(value), kind, value);
  }

  private partitionOf(value: string): number {
    return this.keys.partitionOf(Buffer.from(value, 'base64url')[0]!);
  }
}

/** Addresses are the same in any letter case. Redis and the log hold only hashes of those of other accounts. */
function hashOf(email: string): string {
  return createHash('sha256').update(email.normalize('NFC').toLowerCase()).digest('base64url');
}
