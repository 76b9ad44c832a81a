import {
  type AccountCommand,
  type AccountState,
  decideAccount,
  evolveAccount,
  type IssuedToken,
  initialAccount,
  tokensOf,
} from '../account/account.js';
import { NO_RECORD, parseRecord, type StoredRecord, type Write } from '../log/operation.js';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { reading } from '../redis/unavailable.js';
import { type Change, type Commit, operationOf, type Versioned } from './change.js';
import { bucketOfId, bucketOfUsername, newAccountId } from './ids.js';
import { tokenWrite } from './tokenRecord.js';

/** What is needed to check a password. Beside the log, so that an account can be deleted. */
export interface Credentials {
  readonly accountId: string;
  readonly username: string;
  /** argon2id, in PHC string format. */
  readonly passwordHash: string;
  readonly email?: string;
}

/** A token about to be issued. */
export interface NewToken {
  /** Hash of the token. */
  readonly token: string;
  /** Redis' time in ms since the epoch. */
  readonly expiresAt: number;
  /** Tokens that an account may have, 0: any number. */
  readonly limit: number;
  /** Redis' time in ms since the epoch. */
  readonly now: number;
}

/** An account as it is stored; `at` is Redis' time of its last change, in ms since the epoch. */
export interface StoredAccount extends Versioned<AccountState> {
  readonly at: number;
  /** Null if the account is not registered, or not changed since usernames are kept with it. */
  readonly username: string | null;
}

const NOT_REGISTERED: StoredAccount = { state: initialAccount, version: 0, at: 0, username: null };

/** The accounts in Redis: their credentials, and their state with the tokens they have issued. */
export class Accounts {
  constructor(
    private readonly redis: RedisClient,
    private readonly keys: Keys,
  ) {}

  /** The credentials of a username (after NFC), or null. @throws Unavailable */
  async find(username: string): Promise<Credentials | null> {
    const partition = this.keys.partitionOf(bucketOfUsername(username));
    const record = parseRecord(await reading(this.redis.raw.get(this.keys.user(partition, username))));
    return record ? { username, ...(JSON.parse(record.body) as Omit<Credentials, 'username'>) } : null;
  }

  /** State and version of an account. @throws Unavailable */
  async load(accountId: string): Promise<StoredAccount> {
    return readAccount(parseRecord(await reading(this.redis.raw.get(this.keyOf(accountId)))));
  }

  /** The username of an account, see `StoredAccount`. @throws Unavailable */
  async usernameOf(accountId: string): Promise<string | null> {
    return (await this.load(accountId)).username;
  }

  /** New credentials, with the account id that goes with the username. */
  credentials(username: string, passwordHash: string, email?: string): Credentials {
    const accountId = newAccountId(bucketOfUsername(username));
    return { accountId, username, passwordHash, ...(email !== undefined && { email }) };
  }

  /**
   * Registers an account and, if wanted, issues its first token.
   * @param also a change of the same partition to commit together with it
   * @returns when it was recorded (Redis' time in ms), or null if the username is taken
   * @throws whatever `commit` throws
   */
  async register(
    credentials: Credentials,
    token: NewToken | null,
    also: Change,
    commit: Commit,
  ): Promise<number | null> {
    const { accountId, username, passwordHash, email } = credentials;
    const partition = this.partitionOf(accountId);
    const key = this.keys.user(partition, username);
    const record: Change = {
      checks: [{ key, version: NO_RECORD }],
      events: [],
      writes: [['put', key, '', 1, JSON.stringify({ accountId, passwordHash, email }), 0]],
    };
    const commands: AccountCommand[] = [{ type: 'register' }];
    if (token) commands.push({ type: 'issueToken', ...token });
    const change = this.changeOf(accountId, username, NOT_REGISTERED, commands);
    const result = await commit(operationOf(partition, record, change, also));
    return result.committed ? result.at : null;
  }

  /**
   * Takes a command through: load, decide, commit, and again on the fresh state when somebody else was faster.
   * @param also a change of the same partition to commit together with it
   * @returns when it was recorded (Redis' time in ms), and the state before; null when a token is wanted and the account
   *   is disabled, or when a check of `also` failed
   * @throws Unavailable, and whatever `commit` throws
   */
  async execute(
    accountId: string,
    username: string,
    command: AccountCommand,
    also: Change,
    commit: Commit,
  ): Promise<{ at: number; before: AccountState } | null> {
    let current = await this.load(accountId);
    for (;;) {
      if (command.type === 'issueToken' && current.state.status === 'disabled') return null;
      const change = this.changeOf(accountId, username, current, [command]);
      if (change.events.length + also.events.length === 0) return { at: 0, before: current.state };
      const result = await commit(operationOf(this.partitionOf(accountId), change, also));
      if (result.committed) return { at: result.at, before: current.state };
      if (result.check >= change.checks.length) return null;
      current = readAccount(result.found);
    }
  }

  /**
   * When each token of an account was used last: Redis' time in ms since the epoch, null for one that has not been used.
   * @throws Unavailable
   */
  async tokenUses(accountId: string, tokens: readonly IssuedToken[]): Promise<(number | null)[]> {
    if (tokens.length === 0) return [];
    const key = this.keys.tokenUses(bucketOfId(accountId));
    const uses = await reading(this.redis.raw.hmget(key, ...tokens.map(({ token }) => token)));
    return uses.map((at) => (at === null || at === undefined ? null : Number(at)));
  }

  /** Whether an account is disabled, and was so by the change that gave it this version. @throws Unavailable */
  async isDisabledAt(accountId: string, version: number): Promise<boolean> {
    const stored = await this.load(accountId);
    return stored.state.status === 'disabled' && stored.version === version;
  }

  /**
   * What a command changes, to be committed with something else; its checks fail if the account changes meanwhile.
   * @throws Unavailable
   */
  async prepare(accountId: string, username: string, command: AccountCommand): Promise<Change> {
    return this.changeOf(accountId, username, await this.load(accountId), [command]);
  }

  private changeOf(
    accountId: string,
    username: string,
    before: StoredAccount,
    commands: readonly AccountCommand[],
  ): Change {
    const events = [];
    const writes: Write[] = [];
    const put = ({ token, expiresAt }: IssuedToken, disabledAt: number | null = null) =>
      tokenWrite(this.tokenKey(accountId, token), { accountId, username, expiresAt, disabledAt });
    let { state, version } = before;
    for (const command of commands) {
      const before = state;
      for (const event of decideAccount(command, state)) {
        state = evolveAccount(state, event);
        version += 1;
        events.push({ type: event.type, subject: accountId, version, data: event.data });
        if (event.type === 'token.issued') writes.push(put(event.data));
        if (event.type === 'token.revoked') {
          writes.push(['delete', this.tokenKey(accountId, event.data.token), '']);
          writes.push(['delete', this.keys.tokenUses(bucketOfId(accountId)), event.data.token]);
        }
      }
      if (command.type === 'disable') writes.push(...tokensOf(before).map((token) => put(token, version)));
    }
    if (state.status !== 'none') {
      writes.push(['put', this.keyOf(accountId), '', version, bodyOf(before.username || username, state), 0]);
    }
    const check = { key: this.keyOf(accountId), version: before.version, at: before.at };
    return { checks: [check], events, writes };
  }

  private tokenKey(accountId: string, token: string): string {
    return this.keys.token(this.partitionOf(accountId), token);
  }

  private keyOf(accountId: string): string {
    return this.keys.account(this.partitionOf(accountId), accountId);
  }

  private partitionOf(accountId: string): number {
    return this.keys.partitionOf(bucketOfId(accountId));
  }
}

/** Reads an account's record. */
export function readAccount(record: StoredRecord | null): StoredAccount {
  if (!record) return NOT_REGISTERED;
  const { version, at } = record;
  const { username, tokens } = readBody(record.body);
  if (tokens === null) return { state: { status: 'disabled' }, version, at, username };
  const issued = tokens.map(([token, expiresAt]) => ({ token, expiresAt }));
  return { state: { status: 'registered', tokens: issued }, version, at, username };
}

interface Body {
  readonly username: string | null;
  /** Null: the account is disabled. */
  readonly tokens: readonly (readonly [token: string, expiresAt: number])[] | null;
}

function bodyOf(username: string, state: Exclude<AccountState, { status: 'none' }>): string {
  const tokens =
    state.status === 'disabled'
      ? null
      : state.tokens.map(({ token, expiresAt }) => [token, expiresAt] as const);
  const body: Body = { username, tokens };
  return JSON.stringify(body);
}

function readBody(text: string): Body {
  const body = JSON.parse(text) as Body | NonNullable<Body['tokens']> | 'disabled';
  if (body === 'disabled') return { username: null, tokens: null };
  return 'tokens' in body ? body : { username: null, tokens: body }; // as it was before usernames were kept here
}
