import { randomInt } from 'node:crypto';
import { each } from '../each.js';
import { LATEST_COMMIT_MS } from '../log/lane.js';
import { type Check, NO_RECORD, parseRecord, type StoredRecord } from '../log/operation.js';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { reading } from '../redis/unavailable.js';
import { type Change, type Commit, type Log, noChange } from './change.js';
import { bucketOfId, hashName } from './ids.js';
import { readSession } from './sessionRecord.js';

export type ClaimKind = 'email' | 'name';

/**
 * Values that are unique beyond an account: email addresses, display names. Each is a record in the value's own partition,
 * which need not be its owner's, so no commit can span both. Hence four steps: reserve the value, commit what needs it,
 * confirm the reservation, or release it. What a crash leaves reserved, the sweep settles.
 */
export interface Claim {
  readonly kind: ClaimKind;
  /** Stands for the value in Redis: its hash, see `hashName`. */
  readonly value: string;
  /** The account that has it, or is about to. */
  readonly owner: string;
  readonly isConfirmed: boolean;
  /** Version of its record; random, so that a claim is never taken for a later one. */
  readonly version: number;
}

type Body = [state: 'reserved' | 'confirmed', owner: string];

/** Versions must survive the JSON of Redis' Lua, which writes 14 digits. */
const MAX_VERSION = 2 ** 46;

/** How long a reservation may wait to be settled by who has made it, in ms. */
const RESERVATION_MS = 60_000;

/** Claims as they are settled in a round of the sweep. */
const SWEEP_BATCH = 100;

export class Claims {
  constructor(
    private readonly redis: RedisClient,
    private readonly keys: Keys,
    private readonly log: Log,
  ) {}

  /** Who claims a value; null if nobody does. @throws Unavailable */
  async find(kind: ClaimKind, value: string): Promise<Claim | null> {
    return readClaim(kind, value, parseRecord(await reading(this.redis.raw.get(this.keyOf(kind, value)))));
  }

  /**
   * Reserves a value for an account.
   * @param previous the claim as it was found: what may be taken over, or null
   * @param also more that must hold; keys of the value's partition
   * @returns the claim, or the position of the check that failed: 0 for the claim itself, then those of `also`
   * @throws whatever `commit` throws
   */
  async reserve(
    kind: ClaimKind,
    value: string,
    owner: string,
    commit: Commit,
    { previous = null, also = [] }: { previous?: Claim | null; also?: readonly Check[] } = {},
  ): Promise<Claim | number> {
    const claim = { kind, value, owner, isConfirmed: false, version: randomInt(1, MAX_VERSION) };
    const { partition, key, member } = this.placeOf(claim);
    const result = await commit({
      partition,
      checks: [{ key, version: previous?.version ?? NO_RECORD }, ...also],
      events: [],
      writes: [
        ['put', key, '', claim.version, bodyOf(claim), 0],
        ['rank', this.keys.reservations(partition), member],
      ],
    });
    return result.committed ? claim : result.check;
  }

  /** What the owner's own commit must be joined with: it fails if the sweep has given the reservation up. */
  guard({ owner, version }: Claim): Change {
    return { ...noChange, checks: [{ key: this.fenceKey(owner, version), version: NO_RECORD }] };
  }

  /**
   * The owner's commit is done, or will not be: the value is the owner's from now on if the owner has it, and free if not.
   * A claim that is another by now is left alone.
   * @throws Unavailable
   */
  async settle(claim: Claim): Promise<void> {
    const { partition, key, member } = this.placeOf(claim);
    const isOwned = await this.isOwned(claim);
    await this.log.commit({
      partition,
      checks: [{ key, version: claim.version }],
      events: [],
      writes: [
        isOwned
          ? ['put', key, '', claim.version, bodyOf({ ...claim, isConfirmed: true }), 0]
          : ['delete', key, ''],
        ['unrank', this.keys.reservations(partition), member],
      ],
    });
  }

  /** Whether the owner of a claim really has the value. @throws Unavailable */
  async isOwned({ kind, owner, value }: Claim): Promise<boolean> {
    const partition = this.keys.partitionOf(bucketOfId(owner));
    if (kind === 'email') {
      return (await reading(this.redis.raw.exists(this.keys.account(partition, owner)))) === 1;
    }
    const sessions = await reading(this.redis.raw.hgetall(this.keys.sessions(partition, owner)));
    return Object.entries(sessions).some(
      ([id, stored]) => hashName(readSession(id, parseRecord(stored)).displayName ?? '') === value,
    );
  }

  /** Makes sure that nothing is committed on a reservation from now on. @throws Unavailable, and whatever `commit` throws */
  async fenceOff({ owner, version }: Claim, commit: Commit = (one) => this.log.commit(one)): Promise<void> {
    const key = this.fenceKey(owner, version);
    const now = await reading(this.redis.time(key));
    await commit({
      partition: this.keys.partitionOf(bucketOfId(owner)),
      checks: [],
      events: [],
      writes: [['put', key, '', 1, '', now + LATEST_COMMIT_MS]],
    });
  }

  /**
   * Settles the reservations of a partition that have been there for long, after making sure that nothing can be committed
   * on them any more.
   * @param now Redis' time in ms since the epoch
   * @returns how many were settled
   * @throws Unavailable
   */
  async sweep(partition: number, now: number): Promise<number> {
    const reservations = this.keys.reservations(partition);
    const members = await reading(
      this.redis.raw.zrangebyscore(reservations, '-inf', now - RESERVATION_MS, 'LIMIT', 0, SWEEP_BATCH),
    );
    await each(members, async (member) => {
      const [kind, value] = member.split(':') as [ClaimKind, string];
      const claim = await this.find(kind, value);
      if (claim) {
        await this.fenceOff(claim);
        await this.settle(claim);
      } else {
        await this.dropRank(partition, kind, value);
      }
    });
    return members.length;
  }

  /** A reservation without a claim; should there be one again by now, it stays. */
  private async dropRank(partition: number, kind: ClaimKind, value: string): Promise<void> {
    await this.log.commit({
      partition,
      checks: [{ key: this.keyOf(kind, value), version: NO_RECORD }],
      events: [],
      writes: [['unrank', this.keys.reservations(partition), `${kind}:${value}`]],
    });
  }

  private fenceKey(owner: string, version: number): string {
    return this.keys.fence(this.keys.partitionOf(bucketOfId(owner)), owner, version);
  }

  private placeOf({ kind, value }: Claim): { partition: number; key: string; member: string } {
    return { partition: this.partitionOf(value), key: this.keyOf(kind, value), member: `${kind}:${value}` };
  }

  private keyOf(kind: ClaimKind, value: string): string {
    return this.keys.claim(this.partitionOf(value), kind, value);
  }

  private partitionOf(value: string): number {
    return this.keys.partitionOf(Buffer.from(value, 'base64url')[0]!);
  }
}

/** Reads a claim's record; null if there is none. */
export function readClaim(kind: ClaimKind, value: string, record: StoredRecord | null): Claim | null {
  if (!record) return null;
  const [state, owner] = JSON.parse(record.body) as Body;
  return { kind, value, owner, isConfirmed: state === 'confirmed', version: record.version };
}

function bodyOf({ isConfirmed, owner }: Claim): string {
  const body: Body = [isConfirmed ? 'confirmed' : 'reserved', owner];
  return JSON.stringify(body);
}
