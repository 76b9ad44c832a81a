import { type IssuedToken, tokensOf } from '../../account/account.js';
import { parseRecord, type StoredRecord } from '../../log/operation.js';
import type { RedisClient } from '../../redis/client.js';
import type { Keys } from '../../redis/keys.js';
import { bucketOfId } from '../ids.js';
import { readToken, type StoredToken } from '../tokenRecord.js';
import type { Check } from './checks.js';
import { readSubject } from './subject.js';

/** The records of the tokens of a partition, compared with those of their accounts. */
export class TokenRecords {
  constructor(
    private readonly redis: RedisClient,
    private readonly keys: Keys,
    private readonly partition: number,
  ) {}

  /** Each token of an account must have its record, until it expires. @param stored the account's record */
  hasAll(accountId: string, stored: StoredRecord): Check {
    const { keys, partition } = this;
    const tokens = issuedTokens(accountId, stored);
    return {
      commands: [
        ['get', keys.account(partition, accountId)],
        ...tokens.flatMap(
          ({ token }) =>
            [
              ['get', keys.token(partition, token)],
              ['pexpiretime', keys.token(partition, token)],
            ] as const,
        ),
      ],
      judge: ([account, ...answers]) => {
        const now = parseRecord(account as string | null);
        if (!now) return [];
        if (now.version !== stored.version) return this.hasAll(accountId, now);
        return this.wrongTokens(accountId, tokens, answers);
      },
    };
  }

  /** A token's record must be of a token that its account has, or had when it was disabled. @param stored the token's record */
  isOfAccount(token: string, stored: StoredRecord): Check {
    const { keys, partition } = this;
    const key = keys.token(partition, token);
    const body = tokenBody(stored);
    if (!body || keys.partitionOf(bucketOfId(body.accountId)) !== partition) {
      return { commands: [['exists', key]], judge: ([exists]) => (exists ? [`${key} is unreadable`] : []) };
    }
    const { accountId, expiresAt, disabledAt } = body;
    return {
      commands: [
        ['get', keys.account(partition, accountId)],
        ['exists', key],
      ],
      judge: ([record, exists]) => {
        const account = parseRecord(record as string | null);
        const tokens = account ? issuedTokens(accountId, account) : [];
        const isKnown =
          disabledAt === null
            ? tokens.some((own) => own.token === token && own.expiresAt === expiresAt)
            : account !== null && disabledAt <= account.version && !tokens.some((own) => own.token === token);
        return isKnown || !exists ? [] : [`${key} is no token of ${accountId}`];
      },
    };
  }

  /** @param answers record and time of expiry (ms) of each token */
  private async wrongTokens(
    accountId: string,
    tokens: readonly IssuedToken[],
    answers: readonly unknown[],
  ): Promise<string[]> {
    const wrong: string[] = [];
    for (const [i, { token, expiresAt }] of tokens.entries()) {
      const key = this.keys.token(this.partition, token);
      const stored = parseRecord(answers[2 * i] as string | null);
      const body = stored && tokenBody(stored);
      if (!stored) {
        const hasExpired = (await this.redis.time(key)) >= expiresAt;
        if (!hasExpired) wrong.push(`${key}, a token of ${accountId}, is not stored`);
      } else if (body?.accountId !== accountId || body.expiresAt !== expiresAt || body.disabledAt !== null) {
        wrong.push(`${key} is stored as ${stored.body}; it is a token of ${accountId} until ${expiresAt}`);
      } else if (!isAbout(answers[2 * i + 1], expiresAt)) {
        wrong.push(`${key} expires at ${answers[2 * i + 1]}, not at ${expiresAt}`);
      }
    }
    return wrong;
  }
}

/** Whether a key expires when it should. A slot that moves to another master takes what is left of the time along. */
function isAbout(expires: unknown, expiresAt: number): boolean {
  return Math.abs(Number(expires) - expiresAt) <= EXPIRY_TOLERANCE_MS;
}

const EXPIRY_TOLERANCE_MS = 1000;

function issuedTokens(accountId: string, record: StoredRecord): readonly IssuedToken[] {
  const state = readSubject(accountId, record);
  return state?.kind === 'account' ? tokensOf(state.account) : [];
}

function tokenBody(record: StoredRecord): StoredToken | null {
  try {
    return readToken(record);
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return null;
    throw error;
  }
}
