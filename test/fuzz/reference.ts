import type { Message } from '../support/client.js';
import {
  AUTH_REQUIRED,
  authError,
  authSuccess,
  displayNameUpdated,
  globalChat,
  INVALID_PAYLOAD,
  LOGGED_OUT,
  privateChat,
  UNKNOWN_TYPE,
} from '../support/expected.js';

/** What a connection must see: the messages in their order, then perhaps its end. */
export interface Effect {
  readonly connection: number;
  readonly message?: Message;
  /** The code that the server closes the connection with. */
  readonly closed?: number;
}

interface Account {
  readonly username: string;
  readonly password: string;
  /** The valid ones, in the order of their issue. */
  tokens: string[];
}

interface Session {
  readonly account: Account;
  readonly token: string;
  displayName: string;
  isWaiting: boolean;
  /** Number of the connection; null: detached. */
  connection: number | null;
  /** When it had its last event; grows from one to the next. */
  changedAt: number;
  hasEnded: boolean;
  /** Types of its events, see `storyOf`. */
  readonly story: string[];
}

/** The longest display name and chat message. */
const NAME_MAX = 50;
const CHAT_MAX = 500;

/**
 * What the protocol says, in the plainest way: one place, one thing at a time, nothing ever fails. It knows nothing of how
 * the server does it.
 */
export class Reference {
  readonly accounts = new Map<string, Account>();
  /** Whether each connection has a session. By number. */
  readonly connections = new Map<number, Session | null>();
  readonly sessions: Session[] = [];
  /** Tokens that were issued, valid or not, in the order of their issue. */
  readonly tokens: string[] = [];
  private changes = 0;

  /** @param tokensPerAccount see TOKENS_PER_ACCOUNT */
  constructor(private readonly tokensPerAccount: number) {}

  open(connection: number): void {
    this.connections.set(connection, null);
  }

  /** The connection is gone. */
  close(connection: number): void {
    const session = this.connections.get(connection);
    this.connections.delete(connection);
    if (session) this.detach(session, 'closed');
  }

  isRegistered(username: string): boolean {
    return this.accounts.has(username);
  }

  /** Whether an account can be registered by a name. */
  isFree(name: string): boolean {
    return !this.accounts.has(name) && !this.live().some(({ displayName }) => displayName === name);
  }

  /** An account comes to be. */
  addAccount(username: string, password: string): void {
    this.accounts.set(username, { username, password, tokens: [] });
  }

  isPassword(username: string, password: string): boolean {
    return this.accounts.get(username)?.password === password;
  }

  /** A good login, or a registration: the server has answered with a token, and the session has begun. */
  begin(connection: number, username: string, token: string): void {
    const account = this.accounts.get(username)!;
    this.issue(username, token);
    this.hold(connection, this.start(account, token));
  }

  /** A token was issued, and no session begun. */
  issue(username: string, token: string): void {
    const account = this.accounts.get(username)!;
    account.tokens = [...account.tokens, token].slice(-this.tokensPerAccount);
    this.tokens.push(token);
  }

  tokenAuth(connection: number, token: string, takeOver: boolean): Effect[] {
    const account = [...this.accounts.values()].find(({ tokens }) => tokens.includes(token.toLowerCase()));
    if (!account) return [{ connection, message: authError('Invalid or expired token') }];
    const own = this.connections.get(connection);
    const candidates = this.live()
      .filter((session) => session.token === token.toLowerCase() && session !== own)
      .sort((a, b) => b.changedAt - a.changedAt);
    const session =
      candidates.find((candidate) => candidate.connection === null) ?? (takeOver ? candidates[0] : undefined);
    const effects: Effect[] = [{ connection, message: authSuccess(account.username, token) }];
    if (!session) {
      this.hold(connection, this.start(account, token.toLowerCase()));
      return effects;
    }
    if (session.connection !== null) {
      effects.push({ connection: session.connection, closed: 4001 });
      this.connections.delete(session.connection);
      this.detach(session, 'taken_over');
    }
    this.record(session, 'resumed');
    this.hold(connection, session);
    return effects;
  }

  logout(connection: number): Effect[] {
    return this.asSession(connection, (session) => {
      this.logOut(session);
      return [{ connection, message: LOGGED_OUT }];
    });
  }

  logoutAll(connection: number): Effect[] {
    return this.asSession(connection, ({ account }) => {
      account.tokens = [];
      return this.endAll(account.username, 'account').map((effect) =>
        effect.connection === connection ? { connection, message: LOGGED_OUT } : effect,
      );
    });
  }

  /** An operator ends the sessions of an account. */
  endAll(username: string, by: 'operator' | 'account', revokeTokens = false): Effect[] {
    const account = this.accounts.get(username)!;
    if (revokeTokens) account.tokens = [];
    const message = { type: 'logged_out', payload: { reason: by } };
    const effects: Effect[] = [];
    for (const session of this.live()) {
      if (session.account !== account) continue;
      if (session.connection !== null) effects.push({ connection: session.connection, message });
      this.logOut(session);
    }
    return effects;
  }

  setUsername(connection: number, payload: unknown): Effect[] {
    return this.asSession(connection, (session) => {
      if (typeof payload !== 'string') return [];
      const { account } = session;
      const name = payload.normalize('NFC');
      if (!isName(name) || this.belongsToAnother(name, account)) {
        return [{ connection, message: INVALID_PAYLOAD }];
      }
      if (name !== session.displayName) {
        session.displayName = name;
        this.record(session, 'renamed');
      }
      return [{ connection, message: displayNameUpdated(name) }];
    });
  }

  globalChat(connection: number, payload: unknown): Effect[] {
    return this.asSession(connection, ({ displayName }) => {
      if (!isChat(payload)) return [{ connection, message: INVALID_PAYLOAD }];
      const message = globalChat(displayName, payload);
      return this.attached().map((session) => ({ connection: session.connection!, message }));
    });
  }

  privateChat(connection: number, target: string, payload: unknown): Effect[] {
    return this.asSession(connection, ({ displayName }) => {
      if (!isChat(payload)) return [{ connection, message: INVALID_PAYLOAD }];
      const account =
        this.accounts.get(target) ?? this.live().find((session) => session.displayName === target)?.account;
      const message = privateChat(displayName, payload);
      return this.attached()
        .filter((session) => session.account === account)
        .map((session) => ({ connection: session.connection!, message }));
    });
  }

  joinQueue(connection: number): Effect[] {
    return this.asSession(connection, (session) => {
      if (!session.isWaiting) this.record(session, 'queue.joined');
      session.isWaiting = true;
      return [{ connection, message: { type: 'queued' } }];
    });
  }

  leaveQueue(connection: number): Effect[] {
    return this.asSession(connection, (session) => {
      if (!session.isWaiting) return [];
      this.leaveLine(session);
      return [{ connection, message: { type: 'dequeued' } }];
    });
  }

  unknownType(connection: number): Effect[] {
    return this.asSession(connection, () => [{ connection, message: UNKNOWN_TYPE }]);
  }

  /** What the log must say of the sessions of each token, in the order in which they began. */
  stories(): Map<string, string[]> {
    const stories = new Map<string, string[]>();
    for (const { token, story } of this.sessions) {
      stories.set(token, [...(stories.get(token) ?? []), story.join(' ')]);
    }
    return stories;
  }

  private asSession(connection: number, then: (session: Session) => Effect[]): Effect[] {
    const session = this.connections.get(connection);
    return session ? then(session) : [{ connection, message: AUTH_REQUIRED }];
  }

  private start(account: Account, token: string): Session {
    const session: Session = {
      account,
      token,
      displayName: account.username,
      isWaiting: false,
      connection: null,
      changedAt: 0,
      hasEnded: false,
      story: [],
    };
    this.record(session, 'started');
    this.sessions.push(session);
    return session;
  }

  /** A connection has a session from now on; the one that it had is replaced. */
  private hold(connection: number, session: Session): void {
    const previous = this.connections.get(connection);
    if (previous) this.end(previous, 'replaced');
    this.connections.set(connection, session);
    session.connection = connection;
  }

  private logOut(session: Session): void {
    const { connection } = session;
    this.end(session, 'logged_out');
    if (connection !== null) this.connections.set(connection, null);
  }

  private end(session: Session, how: string): void {
    this.leaveLine(session);
    this.record(session, how);
    session.hasEnded = true;
    session.connection = null;
  }

  private detach(session: Session, reason: string): void {
    this.leaveLine(session);
    this.record(session, `detached:${reason}`);
    session.connection = null;
  }

  private record(session: Session, what: string): void {
    session.story.push(what);
    session.changedAt = ++this.changes;
  }

  private leaveLine(session: Session): void {
    if (session.isWaiting) this.record(session, 'queue.left');
    session.isWaiting = false;
  }

  private belongsToAnother(name: string, account: Account): boolean {
    const registered = this.accounts.get(name);
    if (registered) return registered !== account;
    return this.live().some((session) => session.displayName === name && session.account !== account);
  }

  private live(): Session[] {
    return this.sessions.filter(({ hasEnded }) => !hasEnded);
  }

  private attached(): Session[] {
    return this.live().filter(({ connection }) => connection !== null);
  }
}

function isName(name: string): boolean {
  return (
    name.trim() !== '' && [...name].length <= NAME_MAX && !/[\p{C}\p{Z}]/u.test(name.replaceAll(' ', ''))
  );
}

function isChat(payload: unknown): payload is string {
  return typeof payload === 'string' && payload !== '' && [...payload].length <= CHAT_MAX;
}
