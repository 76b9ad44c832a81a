import type { AccountEvent } from './events.js';

/** A token as the account knows it: its hash, and when it ends, Redis' time in ms since the epoch. */
export interface IssuedToken {
  readonly token: string;
  readonly expiresAt: number;
}

/**
 * State of an account: its tokens in the order of their issue. A disabled one has none, and gets none. Names and
 * passwords are no part of it.
 */
export type AccountState =
  | { readonly status: 'none' }
  | { readonly status: 'registered'; readonly tokens: readonly IssuedToken[] }
  | { readonly status: 'disabled' };

export const initialAccount: AccountState = { status: 'none' };

/** The tokens of an account, in the order of their issue. */
export function tokensOf(state: AccountState): readonly IssuedToken[] {
  return state.status === 'registered' ? state.tokens : [];
}

export type AccountCommand =
  | { readonly type: 'register' }
  /**
   * Adds a token. Those that have ended go, and the oldest, if there are more than `limit` then (0: no limit).
   * `now` is Redis' time, in ms since the epoch.
   */
  | {
      readonly type: 'issueToken';
      readonly token: string;
      readonly expiresAt: number;
      readonly limit: number;
      readonly now: number;
    }
  | {
      readonly type: 'revokeTokens';
      readonly reason: 'operator' | 'account';
      readonly actor?: string;
      /** The only one to revoke; absent: all. */
      readonly only?: string;
    }
  /** Revokes all tokens, and lets no more be issued. */
  | { readonly type: 'disable'; readonly actor: string }
  | { readonly type: 'enable'; readonly actor: string };

/** The events that a command causes, in order. Pure. @throws Error when the command can't apply to the state */
export function decideAccount(command: AccountCommand, state: AccountState): readonly AccountEvent[] {
  if (command.type === 'register') {
    if (state.status !== 'none') throw new Error('The account is registered already');
    return [{ type: 'account.registered', data: {} }];
  }
  if (state.status === 'none') throw new Error('There is no such account');
  const tokens = tokensOf(state);

  switch (command.type) {
    case 'issueToken': {
      if (state.status === 'disabled') throw new Error('The account is disabled');
      const { token, expiresAt, limit, now } = command;
      const ended = tokens.filter((issued) => issued.expiresAt <= now);
      const live = tokens.filter((issued) => issued.expiresAt > now);
      const surplus = limit > 0 ? Math.max(0, live.length + 1 - limit) : 0;
      return [
        ...ended.map((old) => revoked(old.token, 'expired')),
        ...live.slice(0, surplus).map((oldest) => revoked(oldest.token, 'limit')),
        { type: 'token.issued', data: { token, expiresAt } },
      ];
    }
    case 'revokeTokens': {
      const { reason, actor, only } = command;
      const meant = tokens.filter(({ token }) => only === undefined || token === only);
      return meant.map(({ token }) => revoked(token, reason, actor));
    }
    case 'disable': {
      const { actor } = command;
      if (state.status === 'disabled') return [];
      return [
        ...tokens.map(({ token }) => revoked(token, 'operator', actor)),
        { type: 'account.disabled', data: { actor } },
      ];
    }
    case 'enable':
      return state.status === 'disabled' ? [{ type: 'account.enabled', data: { actor: command.actor } }] : [];
    default:
      return unknown(command);
  }
}

/** The state after an event. Pure. @throws Error when the event cannot follow on the state: the history is broken */
export function evolveAccount(state: AccountState, event: AccountEvent): AccountState {
  if (event.type === 'account.registered') {
    if (state.status !== 'none') throw new Error('account.registered cannot come twice');
    return { status: 'registered', tokens: [] };
  }
  if (state.status === 'none') throw new Error(`${event.type} cannot come before account.registered`);
  if (event.type === 'account.enabled') {
    if (state.status !== 'disabled') throw new Error('account.enabled cannot come before account.disabled');
    return { status: 'registered', tokens: [] };
  }
  if (state.status === 'disabled') throw new Error(`${event.type} cannot come to a disabled account`);

  switch (event.type) {
    case 'account.disabled':
      if (state.tokens.length > 0)
        throw new Error('account.disabled cannot come before its tokens are revoked');
      return { status: 'disabled' };
    case 'token.issued':
      return { status: 'registered', tokens: [...state.tokens, { ...event.data }] };
    case 'token.revoked':
      return {
        status: 'registered',
        tokens: state.tokens.filter(({ token }) => token !== event.data.token),
      };
    default:
      return unknown(event);
  }
}

type RevocationReason = 'expired' | 'limit' | 'operator' | 'account';

function revoked(token: string, reason: RevocationReason, actor?: string): AccountEvent {
  return { type: 'token.revoked', data: actor === undefined ? { token, reason } : { token, reason, actor } };
}

function unknown(value: never): never {
  throw new Error(`Unknown: ${JSON.stringify(value)}`);
}
