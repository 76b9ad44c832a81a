import type { Deployment } from '../deployment.js';
import { scanSet } from '../redis/scan.js';
import type { LiveState } from '../session/state.js';
import { accountOfSession } from '../store/ids.js';
import type { Stored } from '../store/sessionRecord.js';

/** Detached sessions read at once. */
const PAGE = 1000;

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
  if (username !== undefined) {
    const credentials = await deployment.accounts.find(username.normalize('NFC'));
    if (!credentials) throw new Error(`There is no account ${JSON.stringify(username)}.`);
    await printSessions(deployment, await deployment.sessions.loadAll(credentials.accountId), print);
    return;
  }
  for await (const ids of allSessionIds(deployment)) {
    const byAccount = new Map<string, string[]>();
    for (const id of ids) {
      const own = byAccount.get(accountOfSession(id));
      if (own) own.push(id);
      else byAccount.set(accountOfSession(id), [id]);
    }
    const loaded = await Promise.all(
      [...byAccount].map(([accountId, own]) => deployment.sessions.loadSome(accountId, own)),
    );
    await printSessions(deployment, new Map(loaded.flatMap((sessions) => [...sessions])), print);
  }
}

/** Attached sessions by their nodes, then detached ones, a page at a time. */
async function* allSessionIds({ redis, keys }: Deployment): AsyncGenerator<string[]> {
  for (let partition = 0; partition < keys.partitions; partition++) {
    for (const node of await redis.raw.smembers(keys.nodes(partition))) {
      yield* scanSet(redis, keys.nodeSessions(partition, node));
    }
    const detached = keys.detached(partition);
    for (let start = 0, page: string[] = ['']; page.length > 0; start += PAGE) {
      page = await redis.raw.zrange(detached, String(start), String(start + PAGE - 1));
      yield page;
    }
  }
}

async function printSessions(
  deployment: Deployment,
  sessions: ReadonlyMap<string, Stored<LiveState>>,
  print: Line,
): Promise<void> {
  const names = await Promise.all([...sessions].map(([, { state }]) => deployment.tokens.usernameOf(state)));
  for (const [i, [id, { state }]] of [...sessions].entries()) {
    const status = state.status === 'detached' ? `detached (${state.reason})` : state.status;
    const { node, connection } = state.attachment;
    print([id, names[i] ?? '?', status, new Date(state.since).toISOString(), node, connection].join('\t'));
  }
}
