import type { HeldSession } from '../cluster/presence.js';
import { ANSWERS, loggedOutBy } from '../protocol/answers.js';
import { CLOSE } from '../protocol/errors.js';
import type { Outcome } from '../store/sessions.js';
import { within } from '../within.js';
import type { Client } from './client.js';
import type { Context } from './context.js';
import { type Handler, handler } from './handler.js';
import { settleHeld } from './hold.js';

/** `logout`: ends the session of this connection; the token stays valid. */
export function logoutHandler(context: Context): Handler {
  return handler(context.validators, {
    type: 'logout',
    needsSession: true,
    invalid: ANSWERS.invalidPayload,
    unavailable: ANSWERS.unavailable,
    async handle(client) {
      // 1. from here on the connection is not authenticated, whatever comes
      const session = context.presence.release(client)!;

      // 2. record it; that is tried for as long as this node lives, though the client waits only so long
      const { attachment } = session.known.state;
      const outcome = await within(
        context.settings.commitTimeoutMs,
        settleHeld(context, session, { type: 'logOut', by: 'client', attachment }),
      );

      // 3. answer
      if (!outcome) {
        context.logger.warn({ session: session.id }, 'logout is not recorded yet');
        client.send(ANSWERS.unavailable);
      } else if (outcome.done) {
        client.send(ANSWERS.loggedOut);
      } else {
        await refuse(context, client, session, outcome);
      }
    },
  });
}

/** Somebody else was faster: the client had no session any more when it said goodbye. */
async function refuse(
  context: Context,
  client: Client,
  session: HeldSession,
  { state }: Outcome & { done: false },
): Promise<void> {
  const hasEnded = state.status === 'none' || state.status === 'ended';
  const who = hasEnded ? await context.sessions.endedBy(session.id).catch(() => null) : null;
  if (who) client.send(loggedOutBy(who));
  client.send(ANSWERS.authRequired);
  if (hasEnded) return;
  const wasLost = context.leases.lostAt > session.heldSince;
  client.close(wasLost ? CLOSE.sessionLost : CLOSE.takenOver);
}
