import type { Deployment } from '../deployment.js';
import type { KnownAccount, Operator } from '../operator/operator.js';
import { isLive } from '../session/state.js';
import { accountOfSession, isSessionId } from '../store/ids.js';

export interface LogoutRequest {
  /** Username or session id. */
  readonly target: string;
  readonly revokeTokens: boolean;
  /** Who does it; stands in the log. */
  readonly actor: string;
}

/**
 * Ends a session, or all sessions of an account, on whichever node they are, and prints what it has done. With
 * `revokeTokens` the account's tokens are revoked first, and all its sessions end, also if one was named.
 * @throws Error with one clear sentence when there is nothing by that name
 */
export async function logOut(
  deployment: Deployment,
  operator: Operator,
  { target, revokeTokens, actor }: LogoutRequest,
  print: (line: string) => void,
): Promise<void> {
  const { account, session } = await find(deployment, operator, target);
  let ended: string[];
  if (revokeTokens) {
    const { tokens, sessions } = await operator.revokeTokens(account, actor);
    print(`${tokens} ${tokens === 1 ? 'token' : 'tokens'} revoked`);
    ended = sessions;
  } else if (session !== undefined) {
    ended = (await operator.logOut(session, actor)) ? [session] : [];
  } else {
    ended = await operator.logOutAccount(account.accountId, actor);
  }
  printEnded(ended, print);
}

/** Shuts an account, and prints what has ended. @throws Error with one clear sentence when there is none of that name */
export async function disable(
  operator: Operator,
  username: string,
  actor: string,
  print: (line: string) => void,
): Promise<void> {
  const ended = await operator.disable(await accountOf(operator, username), actor);
  print('account disabled');
  printEnded(ended, print);
}

/** Opens a disabled account again. @throws Error with one clear sentence when there is none of that name */
export async function enable(
  operator: Operator,
  username: string,
  actor: string,
  print: (line: string) => void,
): Promise<void> {
  await operator.enable(await accountOf(operator, username), actor);
  print('account enabled');
}

async function accountOf(operator: Operator, username: string): Promise<KnownAccount> {
  const account = await operator.account(username);
  if (!account) throw new Error(`There is no account ${JSON.stringify(username)}.`);
  return account;
}

function printEnded(sessions: readonly string[], print: (line: string) => void): void {
  for (const id of sessions) print(`session ${id} ended`);
  if (sessions.length === 0) print('no session to end');
}

interface Found {
  readonly account: KnownAccount;
  /** The only one that is meant. */
  readonly session?: string;
}

/** A text that has the form of a session id means the session if there is one, and a username otherwise. */
async function find({ sessions, accounts }: Deployment, operator: Operator, target: string): Promise<Found> {
  if (isSessionId(target)) {
    const { state } = await sessions.load(target);
    if (isLive(state)) {
      const accountId = accountOfSession(target);
      const username = (await accounts.usernameOf(accountId)) ?? '';
      return { account: { accountId, username }, session: target };
    }
  }
  const account = await operator.account(target);
  if (!account) throw new Error(`There is no account or live session ${JSON.stringify(target)}.`);
  return { account };
}
