import type { AccountCommand } from '../account/account.js';
import type { Publisher } from '../bus/publisher.js';
import { endFromOutside } from '../cluster/ending.js';
import type { Deployment } from '../deployment.js';
import { scanSet } from '../redis/scan.js';
import { noChange } from '../store/change.js';
import { isSessionId } from '../store/ids.js';

/** An account, as an operator names it. */
export interface KnownAccount {
  readonly accountId: string;
  readonly username: string;
}

/** What an operator does. `actor` says who it is, and stands in the log. */
export class Operator {
  constructor(
    private readonly deployment: Deployment,
    private readonly publisher: Publisher,
  ) {}

  /** The account of a username, or null. @throws Unavailable */
  async account(username: string): Promise<KnownAccount | null> {
    const credentials = await this.deployment.accounts.find(username.normalize('NFC'));
    return credentials && { accountId: credentials.accountId, username: credentials.username };
  }

  /** Ends a session on whichever node it is. @returns whether it was this that ended it @throws Unavailable */
  async logOut(sessionId: string, actor: string): Promise<boolean> {
    if (!isSessionId(sessionId)) return false;
    const { sessions } = this.deployment;
    return endFromOutside(
      this.publisher,
      sessionId,
      { type: 'logOut', by: 'operator', actor },
      (id, command) => sessions.execute(id, command),
    );
  }

  /** Ends all sessions of an account; its tokens stay valid. @returns the sessions ended @throws Unavailable */
  async logOutAccount(accountId: string, actor: string): Promise<string[]> {
    return this.logOutAll([...(await this.deployment.sessions.loadAll(accountId)).keys()], actor);
  }

  /** Ends all sessions that are attached to a node. @returns how many @throws Unavailable */
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

  /** Revokes all tokens of an account, which ends its sessions. @returns how many tokens, and which sessions @throws Unavailable */
  async revokeTokens(account: KnownAccount, actor: string): Promise<{ tokens: number; sessions: string[] }> {
    const tokens = await this.change(account, { type: 'revokeTokens', reason: 'operator', actor });
    return { tokens, sessions: await this.logOutAccount(account.accountId, actor) };
  }

  /**
   * Shuts an account: its tokens are revoked, its sessions end, and nobody can log in to it. If it is shut already, sessions
   * that are left end all the same. @returns the sessions ended @throws Unavailable
   */
  async disable(account: KnownAccount, actor: string): Promise<string[]> {
    await this.change(account, { type: 'disable', actor });
    return this.logOutAccount(account.accountId, actor);
  }

  /** Opens a disabled account again. @throws Unavailable */
  async enable(account: KnownAccount, actor: string): Promise<void> {
    await this.change(account, { type: 'enable', actor });
  }

  private async logOutAll(sessionIds: readonly string[], actor: string): Promise<string[]> {
    const ended = await Promise.all(sessionIds.map((id) => this.logOut(id, actor)));
    return sessionIds.filter((_, i) => ended[i]);
  }

  /** @returns how many tokens the account had */
  private async change({ accountId, username }: KnownAccount, command: AccountCommand): Promise<number> {
    const { accounts, committer } = this.deployment;
    const done = await accounts.execute(accountId, username, command, noChange, (operation) =>
      committer.commit(operation),
    );
    return done?.before.status === 'registered' ? done.before.tokens.length : 0;
  }
}
