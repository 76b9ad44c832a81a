import { endFromOutside } from '../cluster/ending.js';
import type { HeldSession } from '../cluster/presence.js';
import type { LiveState } from '../session/state.js';
import type { Context } from './context.js';

/**
 * Ends other sessions of the account of a session, on whichever node they are.
 * @param areMeant tells which
 * @throws CommitterClosed when the process is ending
 */
export async function endOthers(
  { sessions, publisher, untilDone }: Context,
  { id, accountId }: HeldSession,
  areMeant: (state: LiveState) => boolean,
): Promise<void> {
  const live = await untilDone(() => sessions.loadAll(accountId));
  const others = [...live].filter(([other, { state }]) => other !== id && areMeant(state));
  await Promise.all(
    others.map(([other]) =>
      endFromOutside(publisher, other, { type: 'logOut', by: 'account' }, (session, command) =>
        sessions.settle(session, command),
      ),
    ),
  );
}
