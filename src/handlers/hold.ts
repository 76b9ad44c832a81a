import type { HeldSession } from '../cluster/presence.js';
import type { Frame } from '../protocol/answers.js';
import type { SessionCommand } from '../session/commands.js';
import type { Attachment, LiveState } from '../session/state.js';
import { type CommitLate, commitInTime, type Versioned } from '../store/change.js';
import { newSessionId } from '../store/ids.js';
import type { Commit, SessionChange } from '../store/sessions.js';
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

/**
 * Begins a session on a connection, and answers.
 * @param record commits the change that begins the session, together with what belongs to it; gives the answer to the
 *   client, or null if it was refused
 * @returns whether it was begun
 * @throws Unavailable when it was not recorded in time; should that happen later, the session is detached then
 */
export async function startSession(
  context: Context,
  client: Client,
  owner: Owner,
  record: (begin: SessionChange['change'], commit: Commit) => Promise<Frame | null>,
): Promise<boolean> {
  const { accountId, token } = owner;
  const id = newSessionId(accountId);
  const attachment = attachmentOf(context, client);
  const { change, after } = context.sessions.begin(id, { type: 'start', accountId, token, attachment });
  const answer = await record(
    change,
    inTime(context, () => abandon(context, id, attachment)),
  );
  if (answer === null) return false;
  context.sessions.announce(id, change.events);
  await hold(context, client, owner, id, after as Versioned<LiveState>, answer);
  return true;
}

/** A commit that waits as long as a client does. `late` is called if the operation comes through after that. */
export function inTime(context: Context, late: CommitLate): Commit {
  return (operation) => commitInTime(context.log, operation, context.settings.commitTimeoutMs, late);
}

/**
 * A connection has a session from now on: the one it had before is replaced, and then the client gets its answer. If the
 * connection is gone by now, the session is detached at once.
 */
export async function hold(
  context: Context,
  client: Client,
  owner: Owner,
  id: string,
  known: Versioned<LiveState>,
  answer: Frame,
): Promise<void> {
  const previous = context.presence.release(client);
  if (previous) await replace(context, previous, id);
  if (!client.isOpen) {
    abandon(context, id, known.state.attachment, known);
    return;
  }
  client.send(answer);
  const { accountId, username } = owner;
  context.presence.hold(client, { id, accountId, username, known, heldSince: performance.now() });
}

/** The connection of a session is gone, or its node is going. Resolves when that is recorded, however long it takes. */
export async function detach(
  context: Context,
  session: HeldSession,
  reason: 'closed' | 'drained',
): Promise<void> {
  const { attachment } = session.known.state;
  await context.sessions.settle(session.id, { type: 'detach', attachment, reason }, session.known);
}

/** A session that its client was not told of, or can't be told of any more: leaves it detached. */
export function abandon(
  context: Context,
  id: string,
  attachment: Attachment,
  known?: Versioned<LiveState>,
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
  await within(
    context.settings.commitTimeoutMs,
    context.sessions.settle(previous.id, command, previous.known),
  );
}

/** The value of a promise, or undefined if it takes longer than `timeoutMs`. */
export async function within<T>(timeoutMs: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, undefined);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
