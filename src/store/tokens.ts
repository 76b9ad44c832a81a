import { parseRecord } from '../log/operation.js';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import type { Change } from './change.js';
import { bucketOfToken, hashToken } from './ids.js';
import { reading } from './sessions.js';

/** A valid token, and the sessions that could be resumed with it. */
export interface FoundToken {
  /** Hash of the token. */
  readonly token: string;
  readonly accountId: string;
  readonly username: string;
  /** Live sessions of the token, those detached last first, then those attached last; the first few of them. */
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
