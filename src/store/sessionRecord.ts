import type { StoredRecord, Write } from '../log/operation.js';
import type { Keys } from '../redis/keys.js';
import {
  type DetachReason,
  initialState,
  isLive,
  type LiveState,
  type Play,
  type SessionState,
} from '../session/state.js';
import type { Versioned } from './change.js';
import { accountOfSession, bucketOfId, hashName } from './ids.js';

/**
 * How a session is stored: a record in the hash of its account's sessions, and its place in the indexes. An ended
 * session is not stored.
 */

/** How long a node can still find out why a session was ended from outside, in seconds. */
const ENDED_SECONDS = 3600;

type Body = [
  reason: DetachReason | null,
  token: string,
  node: string,
  connection: number,
  /** Null: the account's username. */
  displayName?: string | null,
  play?: [since: number, match?: string],
];

/** Instead of a time in a record: the time of the commit that wrote it. */
const NOW = 0;

/** A session as it is stored: what the log says of it, and beside that what the log must not hold. */
export interface Stored<S extends SessionState = SessionState> extends Versioned<S> {
  /** Null: the account's username. */
  readonly displayName: string | null;
}

/** A session that is not stored: not begun, or ended. */
export const NOT_STORED: Stored = { state: initialState, version: 0, displayName: null };

/** Reads what `sessionWrites` wrote. */
export function readSession(sessionId: string, record: StoredRecord | null): Stored {
  if (!record) return NOT_STORED;
  const [reason, token, node, connection, displayName = null, play] = JSON.parse(record.body) as Body;
  const accountId = accountOfSession(sessionId);
  const isRenamed = displayName !== null;
  const played = play ? readPlay(play, record.at) : null;
  const attachment = { node, connection };
  const since = record.at;
  const state: LiveState =
    reason === null
      ? { status: 'attached', accountId, token, isRenamed, play: played, attachment, since }
      : { status: 'detached', accountId, token, isRenamed, play: played, attachment, reason, since };
  return { version: record.version, displayName, state };
}

/** Where a session is stored: under its id, in the hash of its account's sessions. */
export interface SessionPlace {
  readonly partition: number;
  readonly key: string;
}

/** Where a session is stored. */
export function sessionPlace(keys: Keys, sessionId: string): SessionPlace {
  const partition = keys.partitionOf(bucketOfId(sessionId));
  return { partition, key: keys.sessions(partition, accountOfSession(sessionId)) };
}

/**
 * The writes that take a session from one state to the next, record and indexes.
 * @param endedBy leave a note for the session's node: who ended it from outside
 */
export function sessionWrites(
  keys: Keys,
  { partition, key }: SessionPlace,
  sessionId: string,
  { state: before, displayName }: Stored,
  after: Stored,
  endedBy?: string,
): Write[] {
  const writes: Write[] = [];
  const next = after.state;

  if (displayName !== null && displayName !== after.displayName) {
    const member = freedNameOf(sessionId, displayName);
    writes.push(['rank', keys.freedNames(partition), member]);
  }
  if (before.status === 'attached') {
    const stays = next.status === 'attached' && next.attachment.node === before.attachment.node;
    if (!stays) writes.push(['remove', keys.nodeSessions(partition, before.attachment.node), sessionId]);
  }
  if (before.status === 'detached' && next.status !== 'detached') {
    writes.push(['unrank', keys.detached(partition), sessionId]);
  }

  const waitedSince = waitingSince(before);
  const waitsSince = waitingSince(next);
  if (waitsSince !== null && waitedSince === null) {
    const key = keys.queue(partition);
    writes.push(waitsSince === NOW ? ['rank', key, sessionId] : ['place', key, sessionId, waitsSince]);
  } else if (waitsSince === null && waitedSince !== null) {
    writes.push(['unrank', keys.queue(partition), sessionId]);
  }

  if (isLive(next)) {
    writes.push(['put', key, sessionId, after.version, bodyOf(next, after.displayName), 0]);
    if (next.status === 'attached') {
      writes.push(['add', keys.nodeSessions(partition, next.attachment.node), sessionId]);
      writes.push(['add', keys.nodes(partition), next.attachment.node]);
    } else {
      writes.push(['rank', keys.detached(partition), sessionId]);
    }
  } else if (isLive(before)) {
    writes.push(['delete', key, sessionId]);
    if (endedBy !== undefined) {
      writes.push(['note', keys.ended(partition, sessionId), endedBy, ENDED_SECONDS]);
    }
  }
  return writes;
}

/** What stands in the index of freed names until the name's claim has been seen to. */
export function freedNameOf(sessionId: string, displayName: string): string {
  return `${sessionId}:${hashName(displayName)}`;
}

function bodyOf(state: LiveState, displayName: string | null): string {
  const { token, attachment, play } = state;
  const reason = state.status === 'detached' ? state.reason : null;
  const body: Body = [reason, token, attachment.node, attachment.connection];
  if (displayName !== null || play) body.push(displayName);
  if (play) body.push(play.status === 'matched' ? [play.since, play.match] : [play.since]);
  return JSON.stringify(body);
}

function readPlay([since, match]: NonNullable<Body[5]>, at: number): Play {
  return match === undefined
    ? { status: 'waiting', since: since === NOW ? at : since }
    : { status: 'matched', since, match };
}

function waitingSince(state: SessionState): number | null {
  return isLive(state) && state.play?.status === 'waiting' ? state.play.since : null;
}
