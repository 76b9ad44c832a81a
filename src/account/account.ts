import type { AccountEvent } from './events.js';

/** A token as the account knows it: its hash, and when it ends, Redis' time in ms since the epoch. */
export interface IssuedToken {
  readonly token: string;
  readonly expiresAt: number;
}

/** State of an account: its tokens in the order of their issue. Names and passwords are no part of it. */
export type AccountState =
  | { readonly status: 'none' }
  | { readonly status: 'registered'; readonly tokens: readonly IssuedToken[] };

export const initialAccount: AccountState = { status: 'none' };

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
    };

/** The events that a command causes, in order. Pure. @throws Error when the command can't apply to the state */
export function decideAccount(command: AccountCommand, state: AccountState): readonly AccountEvent[] {
  if (command.type === 'register') {
    if (state.status !== 'none') throw new Error('The account is registered already');
    return [{ type: 'account.registered', data: {} }];
  }
  if (state.status === 'none') throw new Error('There is no such account');

  switch (command.type) {
    case 'issueToken': {
      const { token, expiresAt, limit, now } = command;
      const ended = state.tokens.filter((issued) => issued.expiresAt <= now);
      const live = state.tokens.filter((issued) => issued.expiresAt > now);
      const surplus = limit > 0 ? Math.max(0, live.length + 1 - limit) : 0;
      return [
        ...ended.map((old) => revoked(old.token, 'expired')),
        ...live.slice(0, surplus).map((oldest) => revoked(oldest.token, 'limit')),
        { type: 'token.issued', data: { token, expiresAt } },
      ];
    }
    case 'revokeTokens': {
      const { reason, actor, only } = command;
      const meant = state.tokens.filter(({ token }) => only === undefined || token === only);
      return meant.map(({ token }) => revoked(token, reason, actor));
    }
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

  switch (event.type) {
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
