import type { Logger } from 'pino';
import { Publisher } from '../bus/publisher.js';
import { endFromOutside } from '../cluster/ending.js';
import type { Deployment } from '../deployment.js';
import { noChange } from '../store/change.js';
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
  { target, revokeTokens, actor }: LogoutRequest,
  logger: Logger,
  print: (line: string) => void,
): Promise<void> {
  const { accountId, username, sessionIds } = await find(deployment, target);
  let ids = sessionIds;
  if (revokeTokens) {
    const count = await revoke(deployment, accountId, username, actor);
    ids = [...(await deployment.sessions.loadAll(accountId)).keys()];
    print(`${count} ${count === 1 ? 'token' : 'tokens'} revoked`);
  }
  const { sessions, redis, keys } = deployment;
  const publisher = new Publisher(redis, keys, logger);
  const ended = await Promise.all(
    ids.map((id) =>
      endFromOutside(publisher, id, { type: 'logOut', by: 'operator', actor }, (session, command) =>
        sessions.execute(session, command),
      ),
    ),
  );
  for (const [i, id] of ids.entries()) if (ended[i]) print(`session ${id} ended`);
  if (!ended.includes(true)) print('no session to end');
}

async function revoke(
  { accounts, committer }: Deployment,
  accountId: string,
  username: string,
  actor: string,
): Promise<number> {
  const command = { type: 'revokeTokens', reason: 'operator', actor } as const;
  const done = await accounts.execute(accountId, username, command, noChange, (operation) =>
    committer.commit(operation),
  );
  return done?.before.status === 'registered' ? done.before.tokens.length : 0;
}

interface Found {
  readonly accountId: string;
  readonly username: string;
  readonly sessionIds: string[];
}

/** A text that has the form of a session id means the session if there is one, and a username otherwise. */
async function find({ accounts, sessions, tokens }: Deployment, target: string): Promise<Found> {
  if (isSessionId(target)) {
    const { state } = await sessions.load(target);
    if (state.status === 'attached' || state.status === 'detached') {
      const username = (await tokens.usernameOf(state)) ?? '';
      return { accountId: accountOfSession(target), username, sessionIds: [target] };
    }
  }
  const username = target.normalize('NFC');
  const credentials = await accounts.find(username);
  if (!credentials) throw new Error(`There is no account or live session ${JSON.stringify(target)}.`);
  const { accountId } = credentials;
  return { accountId, username, sessionIds: [...(await sessions.loadAll(accountId)).keys()] };
}
