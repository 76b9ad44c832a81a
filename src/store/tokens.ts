import { NO_KEY, parseRecord } from '../log/operation.js';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { together } from '../redis/together.js';
import { reading } from '../redis/unavailable.js';
import type { NewToken } from './accounts.js';
import type { Change } from './change.js';
import { bucketOfId, bucketOfToken, hashToken, newToken } from './ids.js';
import { readToken, VALID } from './tokenRecord.js';

/** A token that is stored, and the sessions that could be resumed with it. */
export interface FoundToken {
  /** Hash of the token. */
  readonly token: string;
  readonly accountId: string;
  readonly username: string;
  /** Null: it is valid. Else it was revoked when its account got this version, by being disabled. */
  readonly disabledAt: number | null;
  /** Live sessions of the token, those detached last first, then those that changed last; the first few of them. */
  readonly sessionIds: readonly string[];
  /** Commit together with what the token is used for: notes when, and fails if it has been revoked meanwhile. */
  readonly use: Change;
}

/** Tokens that a node remembers. */
const REMEMBERED = 10_000;

interface RememberedToken extends FoundToken {
  /** Whether its session has ended here, and it has not been recalled since. */
  hasLeft: boolean;
}

/** Sessions of a token that are looked at when one is to be resumed. */
const CANDIDATES = 8;

/** Tokens that are looked up in one call. */
const LOOKUPS = 256;

/**
 * KEYS[1], [2], … of each token its record and its sessions. Returns for each the record, "" if there is none, and the ids
 * of the sessions that come first.
 */
const LOOKUP_SCRIPT = `
local answers = {}
for i = 1, #KEYS, 2 do
  local record = redis.call('GET', KEYS[i])
  answers[i] = record or ''
  answers[i + 1] = record and redis.call('ZREVRANGE', KEYS[i + 1], 0, ${CANDIDATES - 1}) or {}
end
return answers
`;

/** Where a token is. */
interface Lookup {
  readonly key: string;
  readonly sessionsKey: string;
}

type Found = [record: string, sessionIds: string[]];

/** The tokens in Redis. */
export class Tokens {
  /** Those whose sessions have ended here, by their hashes. */
  private readonly remembered = new Map<string, RememberedToken>();
  /** By partition. */
  private readonly lookups: ((lookup: Lookup) => Promise<Found>)[] = [];

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
  async find(text: string): Promise<FoundToken | null> {
    const token = hashToken(text);
    const bucket = bucketOfToken(text);
    const partition = this.keys.partitionOf(bucket);
    const key = this.keys.token(partition, token);
    const sessionsKey = this.keys.tokenSessions(partition, token);
    const [stored, sessionIds] = await this.lookUp(partition, { key, sessionsKey });
    const record = parseRecord(stored);
    if (!record) return null;
    const { accountId, username, disabledAt } = readToken(record);
    return {
      token,
      accountId,
      username,
      disabledAt,
      sessionIds,
      use: {
        checks: [{ key, version: record.version }],
        events: [],
        writes: [['stamp', this.keys.tokenUses(bucket), token]],
      },
    };
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
        { key: keys.tokenSessions(partition, token), version: NO_KEY },
      ],
      events: [],
      writes: [['stamp', keys.tokenUses(bucket), token]],
    };
    remembered.set(token, {
      token,
      accountId,
      username,
      disabledAt: null,
      sessionIds: [],
      use,
      hasLeft: true,
    });
    if (remembered.size > REMEMBERED) remembered.delete(remembered.keys().next().value!);
  }

  /**
   * A token that was remembered, once each time, without asking Redis: taken to be valid and to have no session. Whether
   * that is so, the commit of what it is used for finds out by the checks of `use`; if they fail, look it up by `find`.
   */
  recall(text: string): FoundToken | undefined {
    const known = this.remembered.get(hashToken(text));
    if (!known?.hasLeft) return undefined;
    known.hasLeft = false;
    return known;
  }

  /** Those of a partition that are looked up in one turn of the event loop travel together. */
  private lookUp(partition: number, lookup: Lookup): Promise<Found> {
    this.lookups[partition] ??= together((lookups) => this.lookUpAll(lookups), LOOKUPS);
    return this.lookups[partition](lookup);
  }

  private async lookUpAll(lookups: readonly Lookup[]): Promise<Found[]> {
    const script = this.redis.script<(string | string[])[]>('lookUpTokens', LOOKUP_SCRIPT);
    const keys = lookups.flatMap(({ key, sessionsKey }) => [key, sessionsKey]);
    const flat = await reading(script(keys.length, ...keys));
    return lookups.map((_, i) => [flat[2 * i], flat[2 * i + 1]] as Found);
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
