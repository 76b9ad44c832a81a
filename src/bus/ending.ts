import type { SessionCommand } from '../session/commands.js';
import type { Outcome } from '../store/sessions.js';
import type { Publisher } from './publisher.js';

type EndFromOutside = Extract<SessionCommand, { by: 'operator' | 'account' }>;

/**
 * Ends a session from outside, and tells its node.
 * @param record takes the command through
 * @returns whether it was this that ended the session
 */
export async function endFromOutside(
  publisher: Publisher,
  sessionId: string,
  command: EndFromOutside,
  record: (sessionId: string, command: SessionCommand) => Promise<Outcome>,
): Promise<boolean> {
  const outcome = await record(sessionId, command);
  if (!outcome.done) return false;
  const { state } = outcome.before;
  if (state.status === 'attached') await publisher.ended(state.attachment.node, sessionId, command.by);
  return true;
}
