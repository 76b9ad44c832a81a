import { HeldSession } from '../cluster/presence.js';
import type { CommitLimit } from '../log/operation.js';
import type { Frame } from '../protocol/answers.js';
import type { SessionCommand } from '../session/commands.js';
import { type Attachment, type LiveState, type SessionState, sameAttachment } from '../session/state.js';
import type { Commit } from '../store/change.js';
import { newSessionId } from '../store/ids.js';
import type { Stored } from '../store/sessionRecord.js';
import {
  type ExecuteOptions,
  type Outcome,
  type Refused,
  type SessionChange,
  stamped,
} from '../store/sessions.js';
import { within } from '../within.js';
import type { Client } from './client.js';
import type { Context } from './context.js';

/** Whose session it is, and by which token (its hash). */
export interface Owner {
  readonly accountId: string;
  readonly username: string;
  readonly token: string;
}

/** The attachment of a session to a connection of this node. */
export function attachmentOf({ node }: Context, client: Client): Attachment {
  return { node, connection: client.number };
}

/** A session that is about to begin, as it will be. */
interface NewSession {
  readonly id: string;
  readonly events: SessionChange['events'];
  readonly after: Stored<LiveState>;
}

/** A session that can be begun by a commit. */
export interface Beginning {
  readonly session: NewSession;
  /** What is to be committed, together with what belongs to it. */
  readonly change: SessionChange['change'];
  /**
   * Commits it in time. Should it come through after that, the session is detached then.
   * @throws Unavailable when it was not recorded in time
   */
  readonly commit: Commit;
}

/** Prepares a session on a connection. Once it is committed, `begun` is to be called. */
export function beginSession(context: Context, client: Client, { accountId, token }: Owner): Beginning {
  const id = newSessionId(accountId);
  const attachment = attachmentOf(context, client);
  const { events, change, after } = context.sessions.begin(id, {
    type: 'start',
    accountId,
    token,
    attachment,
  });
  return {
    session: { id, events, after: after as Stored<LiveState> },
    change,
    commit: inTime(context, () => abandon(context, id, attachment)),
  };
}

/**
 * A session has begun: its connection has it from now on, and gets its answer, see `hold`.
 * @param at when that was recorded: Redis' time, in ms since the epoch
 */
export function begun(
  context: Context,
  client: Client,
  owner: Owner,
  { id, events, after }: NewSession,
  at: number,
  answer: Frame,
): void | Promise<void> {
  context.sessions.announce(id, events);
  return hold(context, client, owner, id, stamped(after, at), answer);
}

/** A commit that waits as long as a client does. `late` is called if the operation comes through after that. */
export function inTime({ log, settings }: Context, late: CommitLimit['late']): Commit {
  const limit = { timeoutMs: settings.commitTimeoutMs, late };
  return (operation) => log.commit(operation, limit);
}

/**
 * A connection has a session from now on: the one it had before is replaced, and then the client gets its answer. So it
 * does if the client has gone meanwhile: a logout may still wait behind this message. The session that is left when the
 * last message is handled is detached then. Gives a promise only if there is something to wait for.
 */
export function hold(
  context: Context,
  client: Client,
  owner: Owner,
  id: string,
  known: Stored<LiveState>,
  answer: Frame,
): void | Promise<void> {
  const take = () => {
    client.send(answer);
    context.presence.hold(client, new HeldSession(id, owner.username, known, Math.floor(performance.now())));
  };
  const previous = context.presence.release(client);
  if (previous) return replace(context, previous, id).then(take);
  take();
}

/**
 * Ends a session on behalf of the connection that had it, however long that takes; also if this node was taken for
 * lost meanwhile, unless somebody else has resumed the session.
 * @throws CommitterClosed when the process is ending
 */
export function settleHeld(
  context: Context,
  session: HeldSession,
  command: SessionCommand,
): Promise<Outcome> {
  return leaving(context, session, () => executeHeld(context, session, command));
}

/**
 * Does what ends a session that was released, however long that takes; meanwhile it counts as one of this node.
 * @throws CommitterClosed when the process is ending
 */
export function leaving<T>(
  { presence, untilDone }: Context,
  { id }: HeldSession,
  end: () => Promise<T>,
): Promise<T> {
  presence.leaves(id);
  return untilDone(end, () => presence.left(id));
}

/**
 * Takes a command on behalf of a session's connection through, also if this node was taken for lost meanwhile, unless
 * somebody else has resumed the session.
 * @throws Unavailable
 */
export function executeHeld(
  { sessions }: Context,
  { id, known }: HeldSession,
  command: SessionCommand,
  options: Pick<ExecuteOptions, 'also' | 'commit' | 'displayName'> = {},
): Promise<Outcome> {
  const { attachment, play } = known.state;
  const otherwise = async (refused: Refused): Promise<Outcome> => {
    let outcome: Outcome = refused;
    while (!outcome.done && isTakenForLost(outcome.state, attachment)) {
      await sessions.execute(id, { type: 'reclaim', attachment, play });
      outcome = await sessions.execute(id, command, options);
    }
    return outcome;
  };
  return sessions.execute(id, command, { ...options, known, otherwise });
}

/** Whether a session waits to be resumed only because the node of its connection was taken for lost. */
function isTakenForLost(state: SessionState, attachment: Attachment): boolean {
  return (
    state.status === 'detached' &&
    state.reason === 'node_lost' &&
    sameAttachment(state.attachment, attachment)
  );
}

/** The connection of a session is gone, or its node is going. Resolves when that is recorded, however long it takes. */
export async function detach(
  context: Context,
  session: HeldSession,
  reason: 'closed' | 'drained',
  actor?: string,
): Promise<void> {
  const { attachment } = session.known.state;
  const command = { type: 'detach', attachment, reason, ...(actor !== undefined && { actor }) } as const;
  await context.sessions.settle(session.id, command, session.known);
}

/** A session that its client was not told of, or can't be told of any more: leaves it detached. */
export function abandon(
  context: Context,
  id: string,
  attachment: Attachment,
  known?: Stored<LiveState>,
): void {
  context.sessions
    .settle(id, { type: 'detach', attachment, reason: 'closed' }, known)
    .catch((error: unknown) => {
      context.logger.warn({ err: error, session: id }, 'session is left to the reaper');
    });
}

/** Waits for the old session's end to be recorded, as long as a client waits; it will be, in any case. */
async function replace(context: Context, previous: HeldSession, successor: string): Promise<void> {
  const { attachment } = previous.known.state;
  const command: SessionCommand = { type: 'replace', attachment, successor };
  await within(context.settings.commitTimeoutMs, settleHeld(context, previous, command));
}
