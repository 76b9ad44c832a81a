import type { HeldSession } from '../cluster/presence.js';
import { ANSWERS, loggedOutBy } from '../protocol/answers.js';
import { CLOSE } from '../protocol/errors.js';
import type { SessionCommand } from '../session/commands.js';
import type { Outcome } from '../store/sessions.js';
import { within } from '../within.js';
import type { Client } from './client.js';
import type { Context } from './context.js';
import { type Handler, handler } from './handler.js';
import { executeHeld, leaving, settleHeld } from './hold.js';
import { endOthers } from './others.js';

/** `logout`: ends the session of this connection; the token stays valid, unless the settings say otherwise. */
export function logoutHandler(context: Context): Handler {
  return handler(context.validators, {
    type: 'logout',
    needsSession: true,
    invalid: ANSWERS.invalidPayload,
    unavailable: ANSWERS.unavailable,
    handle(client) {
      // 1. from here on the connection is not authenticated, whatever comes
      const session = context.presence.release(client)!;

      // 2. record it; that is tried for as long as this node lives, though the client waits only so long
      const { commitTimeoutMs, logoutRevokesToken } = context.settings;
      const ended = logoutRevokesToken
        ? leaving(context, session, () => logOutAndRevoke(context, session))
        : settleHeld(context, session, logOutOf(session));

      // 3. answer
      return within(commitTimeoutMs, ended, (outcome) => answer(context, client, session, outcome));
    },
  });
}

/** @param outcome undefined: none in time */
function answer(
  context: Context,
  client: Client,
  session: HeldSession,
  outcome: Outcome | undefined,
): void | Promise<void> {
  if (!outcome) {
    context.logger.warn({ session: session.id }, 'logout is not recorded yet');
    client.fail(ANSWERS.unavailable);
    return;
  }
  if (!outcome.done) return refuse(context, client, session, outcome);
  client.send(ANSWERS.loggedOut);
  const { accountId, username, known } = session;
  if (!context.settings.logoutRevokesToken) context.tokens.remember(known.state.token, accountId, username);
}

function logOutOf({ known }: HeldSession): SessionCommand {
  return { type: 'logOut', by: 'client', attachment: known.state.attachment };
}

/** In one commit; then the other sessions of the token end. */
async function logOutAndRevoke(context: Context, session: HeldSession): Promise<Outcome> {
  const { accounts, untilDone } = context;
  const { accountId, username, known } = session;
  const { token } = known.state;
  const outcome = await untilDone(async () => {
    for (;;) {
      const revocation = { type: 'revokeTokens', reason: 'account', only: token } as const;
      const also = await accounts.prepare(accountId, username, revocation);
      const outcome = await executeHeld(context, session, logOutOf(session), { also });
      if (outcome.done || outcome.refused !== 'guarded') return outcome; // guarded: the account has just changed
    }
  });
  if (!outcome.done) return outcome;
  await endOthers(context, session, (state) => state.token === token);
  return outcome;
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
  client.refuse(ANSWERS.authRequired);
  if (hasEnded) return;
  client.close(context.leases.lossOf(session) === 'lost' ? CLOSE.sessionLost : CLOSE.takenOver);
}
