import type { HeldSession } from '../cluster/presence.js';
import { ANSWERS } from '../protocol/answers.js';
import { isLive } from '../session/state.js';
import { noChange } from '../store/change.js';
import { within } from '../within.js';
import type { Context } from './context.js';
import { type Handler, handler } from './handler.js';
import { leaving, settleHeld } from './hold.js';
import { endOne, endOthers } from './others.js';

/** `logout_all`: revokes the tokens of the account and ends its sessions, on every node; this connection's last. */
export function logoutAllHandler(context: Context): Handler {
  return handler(context.validators, {
    type: 'logout_all',
    needsSession: true,
    invalid: ANSWERS.invalidPayload,
    unavailable: ANSWERS.unavailable,
    async handle(client) {
      // 1. from here on the connection is not authenticated, whatever comes
      const session = context.presence.release(client)!;

      // 2. record it; that is tried for as long as this node lives, though the client waits only so long
      const done = await within(
        context.settings.commitTimeoutMs,
        leaving(context, session, () => endAll(context, session)).then(() => true),
      );

      // 3. answer
      if (!done) context.logger.warn({ session: session.id }, 'logout of all sessions is not recorded yet');
      if (done) client.send(ANSWERS.loggedOut);
      else client.fail(ANSWERS.unavailable);
    },
  });
}

/** First the tokens, so that no other session can be begun meanwhile. */
async function endAll(context: Context, session: HeldSession): Promise<void> {
  const { accounts, log, untilDone } = context;
  const { accountId, username, known } = session;
  const commit = log.commit.bind(log);
  const revoke = { type: 'revokeTokens', reason: 'account' } as const;
  await untilDone(() => accounts.execute(accountId, username, revoke, noChange, commit));
  await endOthers(context, session, () => true);
  const { attachment } = known.state;
  const outcome = await settleHeld(context, session, { type: 'logOut', by: 'client', attachment });
  if (outcome.done || !isLive(outcome.state)) return;
  // it was taken over just before the tokens were revoked
  await endOne(context, session.id);
}
