import type { Deployment } from '../deployment.js';
import { allSessions, type SessionView, sessionsOf } from '../operator/sessions.js';

type Line = (line: string) => void;

/**
 * Prints the live sessions, of one account or of all, one a line with tabs between the columns.
 * @throws Error with one clear sentence when there is no such account
 */
export async function listSessions(
  deployment: Deployment,
  username: string | undefined,
  print: Line,
): Promise<void> {
  print(['SESSION', 'USERNAME', 'STATUS', 'SINCE', 'NODE', 'CONNECTION'].join('\t'));
  if (username === undefined) {
    for await (const sessions of allSessions(deployment)) printAll(sessions, print);
    return;
  }
  const credentials = await deployment.accounts.find(username.normalize('NFC'));
  if (!credentials) throw new Error(`There is no account ${JSON.stringify(username)}.`);
  printAll(await sessionsOf(deployment, credentials.accountId), print);
}

function printAll(sessions: readonly SessionView[], print: Line): void {
  for (const { session, username, status, reason, since, node, connection } of sessions) {
    const words = reason === undefined ? status : `${status} (${reason})`;
    print([session, username ?? '?', words, new Date(since).toISOString(), node, connection].join('\t'));
  }
}
