import { endFromOutside } from '../bus/ending.js';
import type { HeldSession } from '../cluster/presence.js';
import type { LiveState } from '../session/state.js';
import type { Context } from './context.js';

/**
 * Ends other sessions of the account of a session, on whichever node they are.
 * @param areMeant tells which
 * @throws CommitterClosed when the process is ending
 */
export async function endOthers(
  context: Context,
  { id, accountId }: HeldSession,
  areMeant: (state: LiveState) => boolean,
): Promise<void> {
  const { sessions, untilDone } = context;
  const live = await untilDone(() => sessions.loadAll(accountId));
  const others = [...live].filter(([other, { state }]) => other !== id && areMeant(state));
  await Promise.all(others.map(([other]) => endOne(context, other)));
}

/**
 * Ends a session on behalf of its account, on whichever node it is.
 * @throws CommitterClosed when the process is ending
 */
export async function endOne({ sessions, publisher }: Context, sessionId: string): Promise<void> {
  await endFromOutside(publisher, sessionId, { type: 'logOut', by: 'account' }, (id, command) =>
    sessions.settle(id, command),
  );
}
