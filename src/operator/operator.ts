import type { AccountCommand } from '../account/account.js';
import { endFromOutside } from '../bus/ending.js';
import type { Publisher } from '../bus/publisher.js';
import type { Deployment } from '../deployment.js';
import { scanSet } from '../redis/scan.js';
import { Unavailable } from '../redis/unavailable.js';
import { noChange } from '../store/change.js';
import { isSessionId } from '../store/ids.js';
import { within } from '../within.js';

/** An account, as an operator names it. */
export interface KnownAccount {
  readonly accountId: string;
  readonly username: string;
}

/**
 * What an operator does. `actor` says who it is, and stands in the log. All methods throw `Unavailable` when Redis can't be
 * read, or does not record what is to be done in time; what was begun goes on being tried then, to its end, for as long
 * as the process lives.
 */
export class Operator {
  /** @param timeoutMs how long a change may take to be recorded */
  constructor(
    private readonly deployment: Deployment,
    private readonly publisher: Publisher,
    private readonly timeoutMs: number,
  ) {}

  /** The account of a username, or null. */
  async account(username: string): Promise<KnownAccount | null> {
    const credentials = await this.deployment.accounts.find(username.normalize('NFC'));
    return credentials && { accountId: credentials.accountId, username: credentials.username };
  }

  /** Ends a session on whichever node it is. @returns whether it was this that ended it */
  async logOut(sessionId: string, actor: string): Promise<boolean> {
    if (!isSessionId(sessionId)) return false;
    const { sessions } = this.deployment;
    const command = { type: 'logOut', by: 'operator', actor } as const;
    return this.inTime(
      endFromOutside(this.publisher, sessionId, command, (id, logOut) => sessions.execute(id, logOut)),
    );
  }

  /** Ends all sessions of an account; its tokens stay valid. @returns the sessions ended */
  async logOutAccount(accountId: string, actor: string): Promise<string[]> {
    return this.logOutAll([...(await this.deployment.sessions.loadAll(accountId)).keys()], actor);
  }

  /** Ends all sessions that are attached to a node. @returns how many */
  async logOutNode(node: string, actor: string): Promise<number> {
    const { redis, keys } = this.deployment;
    let ended = 0;
    for (let partition = 0; partition < keys.partitions; partition++) {
      for await (const ids of scanSet(redis, keys.nodeSessions(partition, node))) {
        ended += (await this.logOutAll(ids, actor)).length;
      }
    }
    return ended;
  }

  /** Revokes all tokens of an account, which ends its sessions. @returns how many tokens, and which sessions */
  async revokeTokens(account: KnownAccount, actor: string): Promise<{ tokens: number; sessions: string[] }> {
    const revoked = this.change(account, { type: 'revokeTokens', reason: 'operator', actor });
    const ended = revoked.then(() => this.logOutAccount(account.accountId, actor));
    return { tokens: await this.inTime(revoked, ended), sessions: await ended };
  }

  /**
   * Shuts an account: its tokens are revoked, its sessions end, and nobody can log in to it. If it is shut already, sessions
   * that are left end all the same. @returns the sessions ended
   */
  async disable(account: KnownAccount, actor: string): Promise<string[]> {
    const shut = this.change(account, { type: 'disable', actor });
    const ended = shut.then(() => this.logOutAccount(account.accountId, actor));
    await this.inTime(shut, ended);
    return ended;
  }

  /** Opens a disabled account again. */
  async enable(account: KnownAccount, actor: string): Promise<void> {
    await this.inTime(this.change(account, { type: 'enable', actor }));
  }

  private async logOutAll(sessionIds: readonly string[], actor: string): Promise<string[]> {
    const ended = await Promise.all(sessionIds.map((id) => this.logOut(id, actor)));
    return sessionIds.filter((_, i) => ended[i]);
  }

  /** @returns how many tokens the account had */
  private async change({ accountId, username }: KnownAccount, command: AccountCommand): Promise<number> {
    const { accounts, log } = this.deployment;
    const done = await accounts.execute(accountId, username, command, noChange, (operation) =>
      log.commit(operation),
    );
    return done?.before.status === 'registered' ? done.before.tokens.length : 0;
  }

  /** Waits for what is recorded first, and only so long; what `then` does after it goes on by itself. */
  private async inTime<T>(first: Promise<T>, then?: Promise<unknown>): Promise<T> {
    then?.catch(() => {}); // whoever waits for it is told
    const done = await within(
      this.timeoutMs,
      first.then((value) => ({ value })),
    );
    if (!done) throw new Unavailable();
    return done.value;
  }
}
