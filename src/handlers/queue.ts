import type { HeldSession } from '../cluster/presence.js';
import { ANSWERS } from '../protocol/answers.js';
import type { SessionCommand } from '../session/commands.js';
import { isLive } from '../session/state.js';
import type { Outcome } from '../store/sessions.js';
import type { Context } from './context.js';
import { type Handler, handler } from './handler.js';
import { executeHeld, inTime } from './hold.js';

/** `join_queue`: the session waits for a match. Who waits already keeps his place. */
export function joinQueueHandler(context: Context): Handler {
  return handler(context.validators, {
    type: 'join_queue',
    needsSession: true,
    invalid: ANSWERS.invalidPayload,
    unavailable: ANSWERS.unavailable,
    async handle(client) {
      const session = client.session!;
      const { attachment } = session.known.state;
      let outcome = await take(context, session, { type: 'joinQueue', attachment }, () =>
        undo(context, session),
      );
      if (!outcome.done && outcome.refused === 'in_queue' && isLive(outcome.state)) {
        // a match that has its game server needs him no more
        const { play } = outcome.state;
        if (play?.status === 'matched' && !(await context.matches.isPending(play.match))) {
          outcome = await take(context, session, { type: 'joinQueue', attachment, over: play.match }, () =>
            undo(context, session),
          );
        }
      }
      if (outcome.done) context.formMatches();
      const isWaiting = outcome.done || outcome.refused === 'in_queue';
      if (isWaiting) client.send(ANSWERS.queued);
      else client.refuse(ANSWERS.authRequired);
    },
  });
}

/** `leave_queue`: the session waits no more. Nothing if it doesn't, or a match has it already. */
export function leaveQueueHandler(context: Context): Handler {
  return handler(context.validators, {
    type: 'leave_queue',
    needsSession: true,
    invalid: ANSWERS.invalidPayload,
    unavailable: ANSWERS.unavailable,
    async handle(client) {
      const session = client.session!;
      const { attachment } = session.known.state;
      const outcome = await take(context, session, { type: 'leaveQueue', attachment }, () => {});
      if (outcome.done) client.send(ANSWERS.dequeued);
      else if (outcome.refused !== 'not_in_queue') client.refuse(ANSWERS.authRequired);
    },
  });
}

/** The client has been told that it could not join, and then it did. */
function undo({ sessions, logger }: Context, { id, known }: HeldSession): void {
  const { attachment } = known.state;
  sessions.settle(id, { type: 'leaveQueue', attachment }).catch((error: unknown) => {
    logger.warn({ err: error, session: id }, 'session is left in the match queue');
  });
}

/** Takes a command of the client through, as long as it waits. */
async function take(
  context: Context,
  session: HeldSession,
  command: SessionCommand,
  late: () => void,
): Promise<Outcome> {
  const outcome = await executeHeld(context, session, command, { commit: inTime(context, late) });
  if (outcome.done && isLive(outcome.after.state)) {
    context.presence.update(session.id, { ...outcome.after, state: outcome.after.state });
  }
  return outcome;
}
