import { parseRecord } from '../log/operation.js';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { reading } from '../redis/unavailable.js';
import type { LiveState } from '../session/state.js';
import type { NewToken } from './accounts.js';
import type { Change } from './change.js';
import { bucketOfId, bucketOfToken, hashToken, newToken } from './ids.js';

/** A valid token, and the sessions that could be resumed with it. */
export interface FoundToken {
  /** Hash of the token. */
  readonly token: string;
  readonly accountId: string;
  readonly username: string;
  /** Live sessions of the token, those detached last first, then those that changed last; the first few of them. */
  readonly sessionIds: readonly string[];
  /** Commit together with what the token is used for: records its use, and fails if it has been revoked meanwhile. */
  readonly use: Change;
}

/** Sessions of a token that are looked at when one is to be resumed. */
const CANDIDATES = 8;

/** The tokens in Redis. */
export class Tokens {
  constructor(
    private readonly redis: RedisClient,
    private readonly keys: Keys,
  ) {}

  /** The partition of a token, its account and its sessions. */
  partitionOf({ accountId }: FoundToken): number {
    return this.keys.partitionOf(bucketOfId(accountId));
  }

  /** The username that a session's token was issued to; null if the token has ended. @throws Unavailable */
  async usernameOf({ accountId, token }: LiveState): Promise<string | null> {
    const key = this.keys.token(this.keys.partitionOf(bucketOfId(accountId)), token);
    const record = parseRecord(await reading(this.redis.raw.get(key)));
    return record ? (JSON.parse(record.body) as [string, string, number])[1] : null;
  }

  /** Looks a token up (a UUID in any letter case); null if it is unknown, expired or revoked. @throws Unavailable */
  async find(text: string): Promise<FoundToken | null> {
    const token = hashToken(text);
    const partition = this.keys.partitionOf(bucketOfToken(text));
    const key = this.keys.token(partition, token);
    const [stored, sessionIds] = await reading(
      Promise.all([
        this.redis.raw.get(key),
        this.redis.raw.zrevrange(this.keys.tokenSessions(partition, token), 0, CANDIDATES - 1),
      ]),
    );
    const record = parseRecord(stored);
    if (!record) return null;
    const [accountId, username, expiresAt] = JSON.parse(record.body) as [string, string, number];
    return {
      token,
      accountId,
      username,
      sessionIds,
      use: {
        checks: [{ key, version: record.version }],
        events: [],
        writes: [['put', key, '', record.version, record.body, expiresAt]],
      },
    };
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
