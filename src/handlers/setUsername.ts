import { displayNameOf } from '../account/names.js';
import type { HeldSession } from '../cluster/presence.js';
import { ANSWERS, displayNameUpdated } from '../protocol/answers.js';
import { isLive } from '../session/state.js';
import { noChange } from '../store/change.js';
import { settleClaim } from './claim.js';
import type { Client } from './client.js';
import type { Context } from './context.js';
import { type Handler, handler } from './handler.js';
import { executeHeld, inTime } from './hold.js';

/** `set_username`: gives the session a display name, or with the account's own name takes it away. */
export function setUsernameHandler(context: Context): Handler {
  return handler(context.validators, {
    type: 'set_username',
    needsSession: true,
    invalid: null,
    unavailable: ANSWERS.unavailable,
    async handle(client, { payload }) {
      const session = client.session!;
      // 1. what can be seen without asking anybody
      const name = displayNameOf(payload);
      if (name === null) {
        client.refuse(ANSWERS.invalidPayload);
        return;
      }
      if (name === session.displayName) {
        client.send(displayNameUpdated(name));
        return;
      }
      if (!context.changes.admits(session.accountId)) {
        client.refuse(ANSWERS.rateLimited);
        return;
      }

      // 2. reserve the name, unless it is the account's own
      const { accountId, username } = session;
      if (name === username) {
        await rename(context, client, session, null, noChange);
        return;
      }
      const claim = await context.names.reserve(name, accountId, inTime(context, leaveToSweep));
      if (!claim) {
        client.refuse(ANSWERS.invalidPayload);
        return;
      }

      // 3. record it, and answer
      await rename(context, client, session, name, context.claims.guard(claim));
      settleClaim(context, claim);
    },
  });
}

/** @param name null: the account's own again */
async function rename(
  context: Context,
  client: Client,
  session: HeldSession,
  name: string | null,
  also: typeof noChange,
): Promise<void> {
  const { attachment } = session.known.state;
  const outcome = await executeHeld(
    context,
    session,
    { type: 'rename', attachment, chosen: name !== null },
    { displayName: name, also, commit: inTime(context, () => refresh(context, session.id)) },
  );
  if (!outcome.done) {
    // somebody else has ended the session or taken it over, or the name was given up: it took too long
    if (outcome.refused === 'guarded') client.fail(ANSWERS.unavailable);
    else client.refuse(ANSWERS.authRequired);
    return;
  }
  const { after } = outcome;
  if (isLive(after.state)) context.presence.update(session.id, { ...after, state: after.state });
  client.send(displayNameUpdated(name ?? session.username));
}

/** A name that came through after its client had been told that it could not. */
function refresh({ sessions, presence, logger }: Context, id: string): void {
  sessions.load(id).then(
    (known) => {
      if (isLive(known.state)) presence.update(id, { ...known, state: known.state });
    },
    (error: unknown) => logger.debug({ err: error, session: id }, 'session could not be read again'),
  );
}

function leaveToSweep(): void {}
