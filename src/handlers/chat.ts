import type { HeldSession } from '../cluster/presence.js';
import { hasAtMost } from '../codePoints.js';
import { ANSWERS } from '../protocol/answers.js';
import { Unavailable } from '../redis/unavailable.js';
import type { Client } from './client.js';
import type { Context } from './context.js';

/**
 * Whether a session may say this now; if not, the client has been told. Counted by account, in Redis: neither a reconnect
 * nor another session begins anew.
 * @throws Unavailable
 */
export async function maySay(
  { settings, chatLimit, leases }: Context,
  client: Client,
  session: HeldSession,
  message: string,
): Promise<boolean> {
  if (settings.chatCharacters > 0 && !hasAtMost(message, settings.chatCharacters)) {
    client.refuse(ANSWERS.invalidPayload);
    return false;
  }
  const admission = await chatLimit.consume(session.accountId);
  if (!admission.admitted) {
    client.refuse(ANSWERS.rateLimited);
    return false;
  }
  // a node that has stood still speaks for sessions that may be elsewhere by now, and have said more there
  if (leases.isOverdue) throw new Unavailable();
  return true;
}
