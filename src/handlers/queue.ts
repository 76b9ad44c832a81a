import type { HeldSession } from '../cluster/presence.js';
import { ANSWERS } from '../protocol/answers.js';
import { Unavailable } from '../redis/unavailable.js';
import type { SessionCommand } from '../session/commands.js';
import { isLive } from '../session/state.js';
import type { Outcome } from '../store/sessions.js';
import { within } from '../within.js';
import type { Client } from './client.js';
import type { Context } from './context.js';
import { type Handler, handler } from './handler.js';
import { executeHeld, inTime } from './hold.js';

/** `join_queue`: the session waits for a match. Who waits already keeps his place. */
export function joinQueueHandler(context: Context): Handler {
  /** Whether a client was told by its last `join_queue` that it waits. */
  const answers = new WeakMap<Client, Promise<boolean>>();
  const undoing = new WeakMap<Client, Promise<unknown>>();

  /** A client was told that it could not join, and then it did: undone, unless it has asked again and was told that it waits. */
  async function undo(client: Client, session: HeldSession): Promise<void> {
    let last: Promise<boolean> | undefined;
    do {
      last = answers.get(client);
      if (await last) return;
    } while (last !== answers.get(client));
    const undone = leaveAgain(context, session);
    undoing.set(client, undone);
    await undone;
    undoing.delete(client);
  }

  /** @throws Unavailable when that takes too long */
  async function untilUndone(client: Client): Promise<void> {
    const undone = undoing.get(client)?.then(() => true);
    if (undone && !(await within(context.settings.commitTimeoutMs, undone))) throw new Unavailable();
  }

  return handler(context.validators, {
    type: 'join_queue',
    needsSession: true,
    invalid: ANSWERS.invalidPayload,
    unavailable: ANSWERS.unavailable,
    async handle(client) {
      await untilUndone(client);
      const { session } = client;
      if (!session) return client.refuse(ANSWERS.authRequired); // it was ended from outside meanwhile
      if (!context.changes.admits(session.accountId)) return client.refuse(ANSWERS.rateLimited);
      const answer = join(context, client, session, () => void undo(client, session));
      answers.set(
        client,
        answer.catch(() => false),
      );
      await answer;
    },
  });
}

/** @param late is called if he could not join in time, and then did @returns whether he waits, and was told so */
async function join(
  context: Context,
  client: Client,
  session: HeldSession,
  late: () => void,
): Promise<boolean> {
  const { attachment } = session.known.state;
  let outcome = await take(context, session, { type: 'joinQueue', attachment }, late);
  if (!outcome.done && outcome.refused === 'in_queue' && isLive(outcome.state)) {
    // a match that has its game server needs him no more
    const { play } = outcome.state;
    if (play?.status === 'matched' && !(await context.matches.isPending(play.match))) {
      outcome = await take(context, session, { type: 'joinQueue', attachment, over: play.match }, late);
    }
  }
  if (outcome.done) context.formMatches();
  const isWaiting = outcome.done || outcome.refused === 'in_queue';
  if (isWaiting) client.send(ANSWERS.queued);
  else client.refuse(ANSWERS.authRequired);
  return isWaiting;
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

async function leaveAgain({ sessions, logger }: Context, { id, known }: HeldSession): Promise<void> {
  const { attachment } = known.state;
  await sessions.settle(id, { type: 'leaveQueue', attachment }).catch((error: unknown) => {
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
  const { presence } = context;
  const outcome = await executeHeld(context, session, command, { commit: inTime(context, late) });
  if (outcome.done) {
    const { after } = outcome;
    if (isLive(after.state)) presence.update(session.id, { ...after, state: after.state });
  } else if (outcome.refused === 'in_queue' && isLive(outcome.state)) {
    const { known } = session;
    presence.update(session.id, { ...known, state: { ...known.state, play: outcome.state.play } });
  }
  return outcome;
}
