import { NO_KEY, parseRecord } from '../log/operation.js';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { together } from '../redis/together.js';
import { reading } from '../redis/unavailable.js';
import type { NewToken } from './accounts.js';
import type { Change } from './change.js';
import { bucketOfId, bucketOfToken, hashToken, newToken } from './ids.js';
import { readToken, VALID } from './tokenRecord.js';

/** A token that is stored. */
export interface FoundToken {
  /** Hash of the token. */
  readonly token: string;
  readonly accountId: string;
  readonly username: string;
  /** Null: it is valid. Else it was revoked when its account got this version, by being disabled. */
  readonly disabledAt: number | null;
  /** Commit together with what the token is used for: notes when, and fails if it has been revoked meanwhile. */
  readonly use: Change;
}

/** Tokens that a node remembers. */
const REMEMBERED = 10_000;

/** The use of a token that comes back is noted anew after this time. */
const USE_NOTED_MS = 60_000;

interface RememberedToken extends FoundToken {
  /** `use`, and a note of when. */
  readonly notedUse: Change;
  /** Whether its session has ended here, and it has not been recalled since. */
  hasLeft: boolean;
  /** When its use was last noted, by `performance.now()`. */
  notedAt: number;
}

/** Tokens that are looked up in one call. */
const LOOKUPS = 256;

/** The tokens in Redis. */
export class Tokens {
  /** Those whose sessions have ended here, by their hashes. */
  private readonly remembered = new Map<string, RememberedToken>();
  /** Look-ups by key, for each partition. */
  private readonly lookUps: ((key: string) => Promise<string | null>)[] = [];

  constructor(
    private readonly redis: RedisClient,
    private readonly keys: Keys,
  ) {}

  /** The partition of a token, its account and its sessions. */
  partitionOf({ accountId }: FoundToken): number {
    return this.keys.partitionOf(bucketOfId(accountId));
  }

  /**
   * Looks a token up (a UUID in any letter case); null if it is unknown, expired, or revoked other than by disabling its
   * account. @throws Unavailable
   */
  find(text: string): Promise<FoundToken | null> {
    const token = hashToken(text);
    const bucket = bucketOfToken(text);
    const partition = this.keys.partitionOf(bucket);
    const key = this.keys.token(partition, token);
    return this.lookUp(partition, key).then((stored) => {
      const record = parseRecord(stored);
      if (!record) return null;
      const { accountId, username, disabledAt } = readToken(record);
      return {
        token,
        accountId,
        username,
        disabledAt,
        use: {
          checks: [{ key, version: record.version }],
          events: [],
          writes: [['stamp', this.keys.tokenUses(bucket), token]],
        },
      };
    });
  }

  /** The session of a token (its hash) has ended here. Who comes back with it most likely finds it as it was: see `recall`. */
  remember(token: string, accountId: string, username: string): void {
    const { remembered, keys } = this;
    const known = remembered.get(token);
    if (known) {
      known.hasLeft = true;
      return;
    }
    const bucket = bucketOfId(accountId);
    const partition = keys.partitionOf(bucket);
    const use: Change = {
      checks: [
        { key: keys.token(partition, token), version: VALID },
        { key: keys.sessions(partition, accountId), version: NO_KEY },
      ],
      events: [],
      writes: [],
    };
    remembered.set(token, {
      token,
      accountId,
      username,
      disabledAt: null,
      use,
      notedUse: { ...use, writes: [['stamp', keys.tokenUses(bucket), token]] },
      hasLeft: true,
      notedAt: Number.NEGATIVE_INFINITY,
    });
    if (remembered.size > REMEMBERED) remembered.delete(remembered.keys().next().value!);
  }

  /**
   * A token that was remembered, once each time, without asking Redis: taken to be valid, and its account to have no session.
   * Whether that is so, the commit of what it is used for finds out by the checks of `use`; if they fail, look it up by `find`.
   */
  recall(text: string): FoundToken | undefined {
    const known = this.remembered.get(hashToken(text));
    if (!known?.hasLeft) return undefined;
    known.hasLeft = false;
    const now = performance.now();
    if (now - known.notedAt < USE_NOTED_MS) return known;
    known.notedAt = now;
    return { ...known, use: known.notedUse };
  }

  /** Those of a partition that are looked up in one turn of the event loop travel together. */
  private lookUp(partition: number, key: string): Promise<string | null> {
    this.lookUps[partition] ??= together((keys) => reading(this.redis.raw.mget(...keys)), LOOKUPS);
    return this.lookUps[partition](key);
  }
}

/** How tokens are issued. */
export interface TokenSettings {
  /** How long a token is valid, in ms; 0: no limit. */
  readonly tokenTtlMs: number;
  /** Tokens that an account may have; 0: no limit. */
  readonly tokensPerAccount: number;
}

/**
 * Makes a token: what the client gets, and what is recorded of it.
 * @param bucket of the account
 * @param now Redis' time in ms since the epoch
 */
export function makeToken(
  bucket: number,
  { tokenTtlMs, tokensPerAccount }: TokenSettings,
  now: number,
): { token: string; record: NewToken } {
  const token = newToken(bucket);
  const expiresAt = tokenTtlMs === 0 ? NEVER : now + tokenTtlMs;
  return { token, record: { token: hashToken(token), expiresAt, limit: tokensPerAccount, now } };
}

/** The end of the year 9999. */
const NEVER = Date.UTC(9999, 11, 31);
