import type { Deployment } from '../deployment.js';
import { reading } from '../redis/unavailable.js';
import { isLive, type LiveState } from '../session/state.js';
import { accountOfSession } from '../store/ids.js';
import type { Stored } from '../store/sessionRecord.js';

/** A live session, as an operator sees it. */
export interface SessionView {
  readonly session: string;
  readonly account: string;
  /** Null if it is not known, see `StoredAccount`. */
  readonly username: string | null;
  readonly status: 'attached' | 'detached';
  /** Of a detached one: why. */
  readonly reason?: string;
  /** When it changed last, by Redis' time in ms since the epoch. */
  readonly since: number;
  /** Where it is, or was last. */
  readonly node: string;
  readonly connection: number;
}

export interface SessionFilter {
  /** Only those attached to this node. */
  readonly node?: string | undefined;
  readonly status?: 'attached' | 'detached' | undefined;
}

export interface SessionPage {
  readonly sessions: readonly SessionView[];
  /** Where the next page begins; null after the last. */
  readonly next: string | null;
}

/** Calls of Redis that one page may take. */
const SCANS = 200;

/** A cursor that was not given out here. */
export class BadCursor extends Error {
  constructor() {
    super('The cursor is not one that was given with a page.');
  }
}

/**
 * A page of all live sessions: those attached, partition by partition and node by node, and those detached. It has about
 * `limit` of them, and may have fewer, even none, before the last page. A session that changes meanwhile may come twice, or
 * not at all.
 * @throws BadCursor; Unavailable
 */
export async function sessionPage(
  deployment: Deployment,
  filter: SessionFilter,
  limit: number,
  cursor: string | null,
): Promise<SessionPage> {
  const found: SessionView[] = [];
  let place: Place | null = cursor === null ? START : parseCursor(cursor, deployment.keys.partitions);
  for (let scans = 0; place && found.length < limit && scans < SCANS; scans++) {
    const source: Source | null = await sourceAt(deployment, filter, place);
    if (!source) {
      place =
        place.partition + 1 < deployment.keys.partitions
          ? { ...START, partition: place.partition + 1 }
          : null;
      continue;
    }
    const [scan, ids] = await source.scan(source.isSame ? place.scan : '0', limit - found.length);
    for (const view of await viewsOf(deployment, ids)) {
      const isWanted = filter.node === undefined || (view.status === 'attached' && view.node === filter.node);
      if (isWanted && (filter.status ?? view.status) === view.status) found.push(view);
    }
    place = scan === '0' ? { ...source.place, scan: DONE } : { ...source.place, scan };
  }
  return { sessions: found, next: place && cursorOf(place) };
}

/** All live sessions, a page at a time. @throws Unavailable */
export async function* allSessions(deployment: Deployment): AsyncGenerator<readonly SessionView[]> {
  let cursor: string | null = null;
  do {
    const page: SessionPage = await sessionPage(deployment, {}, 1000, cursor);
    yield page.sessions;
    cursor = page.next;
  } while (cursor !== null);
}

/** The live sessions of an account. @throws Unavailable */
export async function sessionsOf(deployment: Deployment, accountId: string): Promise<SessionView[]> {
  return viewsFrom(deployment, await deployment.sessions.loadAll(accountId));
}

/** A live session, or null. @throws Unavailable */
export async function sessionOf(deployment: Deployment, sessionId: string): Promise<SessionView | null> {
  const { state } = await deployment.sessions.load(sessionId);
  return isLive(state) ? viewOf(deployment, sessionId, state) : null;
}

/** Where a page has come to: the sets of a partition's nodes in the order of their names, then that of the detached. */
interface Place {
  readonly partition: number;
  /** Null: the detached ones. */
  readonly node: string | null;
  /** Redis' cursor in it. */
  readonly scan: string;
}

const DONE = 'done';
const START: Place = { partition: 0, node: '', scan: DONE };

/** A set to scan. */
interface Source {
  readonly place: Place;
  /** Whether it is the one of the place that was asked for, and not the next. */
  readonly isSame: boolean;
  readonly scan: (cursor: string, count: number) => Promise<[cursor: string, ids: string[]]>;
}

/** What is to be scanned at a place, or next after it, in its partition; null at the end. */
async function sourceAt(
  { redis, keys }: Deployment,
  filter: SessionFilter,
  place: Place,
): Promise<Source | null> {
  const { partition, node, scan } = place;
  const isOver = scan === DONE;
  if (node !== null && filter.status !== 'detached') {
    const nodes =
      filter.node === undefined ? await reading(redis.raw.smembers(keys.nodes(partition))) : [filter.node];
    const next = nodes.sort().find((name) => (isOver ? name > node : name >= node));
    if (next !== undefined) {
      const key = keys.nodeSessions(partition, next);
      return {
        place: { ...place, node: next },
        isSame: next === node,
        scan: (cursor, count) => reading(redis.raw.sscan(key, cursor, 'COUNT', count)),
      };
    }
  }
  if (filter.status === 'attached' || filter.node !== undefined || (node === null && isOver)) return null;
  const key = keys.detached(partition);
  return {
    place: { ...place, node: null },
    isSame: node === null,
    async scan(cursor, count) {
      const [next, pairs] = await reading(redis.raw.zscan(key, cursor, 'COUNT', count));
      return [next, pairs.filter((_, i) => i % 2 === 0)];
    },
  };
}

function cursorOf({ partition, node, scan }: Place): string {
  return Buffer.from(JSON.stringify([partition, node, scan])).toString('base64url');
}

function parseCursor(cursor: string, partitions: number): Place {
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(cursor, 'base64url').toString());
  } catch {
    throw new BadCursor();
  }
  if (!Array.isArray(parsed)) throw new BadCursor();
  const [partition, node, scan] = parsed as unknown[];
  const isPartition = Number.isInteger(partition) && Number(partition) >= 0 && Number(partition) < partitions;
  const isScan = typeof scan === 'string' && /^(done|[0-9]{1,20})$/.test(scan);
  if (!isPartition || !(node === null || typeof node === 'string') || !isScan) throw new BadCursor();
  return { partition: partition as number, node, scan };
}

async function viewsOf(deployment: Deployment, ids: readonly string[]): Promise<SessionView[]> {
  const byAccount = new Map<string, string[]>();
  for (const id of ids) {
    const own = byAccount.get(accountOfSession(id));
    if (own) own.push(id);
    else byAccount.set(accountOfSession(id), [id]);
  }
  const loaded = await Promise.all(
    [...byAccount].map(([accountId, own]) => deployment.sessions.loadSome(accountId, own)),
  );
  return viewsFrom(deployment, new Map(loaded.flatMap((sessions) => [...sessions])));
}

function viewsFrom(
  deployment: Deployment,
  sessions: ReadonlyMap<string, Stored<LiveState>>,
): Promise<SessionView[]> {
  return Promise.all([...sessions].map(([id, { state }]) => viewOf(deployment, id, state)));
}

async function viewOf(deployment: Deployment, session: string, state: LiveState): Promise<SessionView> {
  const { node, connection } = state.attachment;
  return {
    session,
    account: state.accountId,
    username: await deployment.accounts.usernameOf(state.accountId),
    status: state.status,
    ...(state.status === 'detached' && { reason: state.reason }),
    since: state.since,
    node,
    connection,
  };
}
