import { setTimeout as delay } from 'node:timers/promises';
import { displayNameOf } from '../account/names.js';
import type { HeldSession } from '../cluster/presence.js';
import { ANSWERS, displayNameUpdated } from '../protocol/answers.js';
import { Unavailable } from '../redis/unavailable.js';
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
      for (let attempt = 1; ; attempt++) {
        const claim = await context.names.reserve(name, accountId, inTime(context, leaveToSweep));
        if (!claim) {
          client.refuse(ANSWERS.invalidPayload);
          return;
        }

        // 3. record it, and answer; again if another session of the account was about to have the name, too
        const isOver = await rename(context, client, session, name, context.claims.guard(claim));
        settleClaim(context, claim);
        if (isOver) return;
        if (attempt === ATTEMPTS) throw new Unavailable();
        await delay(Math.random() * PAUSE_MS * attempt); // or the two hinder each other once more
      }
    },
  });
}

/** Times that a name is tried to be had while other sessions of the account try, too, and the pause between them, in ms. */
const ATTEMPTS = 5;
const PAUSE_MS = 20;

/** @param name null: the account's own again @returns false if the reservation was given up; nothing is answered then */
async function rename(
  context: Context,
  client: Client,
  session: HeldSession,
  name: string | null,
  also: typeof noChange,
): Promise<boolean> {
  const { attachment } = session.known.state;
  const outcome = await executeHeld(
    context,
    session,
    { type: 'rename', attachment, chosen: name !== null },
    { displayName: name, also, commit: inTime(context, () => refresh(context, session.id)) },
  );
  if (!outcome.done) {
    if (outcome.refused === 'guarded') return false;
    client.refuse(ANSWERS.authRequired); // somebody else has ended the session or taken it over
    return true;
  }
  const { after } = outcome;
  if (isLive(after.state)) context.presence.update(session.id, { ...after, state: after.state });
  client.send(displayNameUpdated(name ?? session.username));
  return true;
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
