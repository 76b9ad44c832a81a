import { type AccountState, evolveAccount, initialAccount } from '../../account/account.js';
import type { AccountEvent } from '../../account/events.js';
import { compileEventValidators } from '../../contract/validators.js';
import type { Event } from '../../log/entry.js';
import type { StoredRecord } from '../../log/operation.js';
import { type Evolve, UnknownEvent } from '../../log/replay.js';
import { evolveMatch, initialMatch, type MatchEvent, type MatchState } from '../../match/match.js';
import type { SessionEvent } from '../../session/events.js';
import { evolve } from '../../session/evolve.js';
import { initialState, isLive, type SessionState } from '../../session/state.js';
import { readAccount } from '../accounts.js';
import { isMatchId, isSessionId } from '../ids.js';
import { readMatch } from '../matches.js';
import { readSession } from '../sessionRecord.js';

/** State of what the log speaks of: a session, an account, a match, or a node, of which nothing is stored. */
export type SubjectState =
  | { readonly kind: 'session'; readonly session: SessionState }
  | { readonly kind: 'account'; readonly account: AccountState }
  | { readonly kind: 'match'; readonly match: MatchState }
  | { readonly kind: 'node' };

/**
 * Takes a subject one event further, after a look at the event's data.
 * @returns the function; making it reads and compiles the schemas
 */
export function subjectEvolve(): Evolve<SubjectState> {
  const validators = compileEventValidators();
  return (state, event) => {
    const isValid = event.dataVersion === DATA_VERSION ? validators.get(event.type) : undefined;
    if (!isValid) throw new UnknownEvent(event);
    if (!isValid(event.data)) throw new Error(`the data of ${event.type} are not valid`);
    switch (event.type.split('.')[0]) {
      case 'session':
      case 'queue':
        return evolveSession(state, event);
      case 'match':
        return evolveMatchState(state, event);
      case 'node':
        if (state) throw new Error(`${event.type} is the only event of a node`);
        return { kind: 'node' };
      default:
        return evolveAccountState(state, event);
    }
  };
}

/** The state that a record tells of; null when it can't be read. */
export function readSubject(subject: string, record: StoredRecord): SubjectState | null {
  try {
    if (isSessionId(subject)) return { kind: 'session', session: readSession(subject, record).state };
    if (isMatchId(subject)) return { kind: 'match', match: readMatch(record).state };
    return { kind: 'account', account: readAccount(record).state };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return null;
    throw error;
  }
}

/** Whether a subject in this state has a record. */
export function isStored(state: SubjectState): boolean {
  if (state.kind === 'session') return isLive(state.session);
  if (state.kind === 'account') return state.account.status !== 'none';
  if (state.kind === 'node') return false;
  // a failed one is until its players have been seen to
  return state.match.status === 'formed' || state.match.status === 'started';
}

/** A state in words, all that matters of it but the time: equal states read the same. */
export function inWords(state: SubjectState): string {
  if (state.kind === 'account') {
    if (state.account.status === 'none') return 'not registered';
    if (state.account.status === 'disabled') return 'disabled';
    const tokens = state.account.tokens.map(({ token, expiresAt }) => `${token} until ${expiresAt}`);
    return `registered with ${tokens.length === 0 ? 'no token' : `tokens ${tokens.join(', ')}`}`;
  }
  if (state.kind === 'match') {
    const { match } = state;
    const players = 'players' in match ? ` with ${match.players.join(', ')}` : '';
    const server = match.status === 'started' ? ` on ${Object.values(match.server).join(' ')}` : '';
    return `${match.status}${players}${server}`;
  }
  if (state.kind === 'node') return 'drained';
  const { session } = state;
  if (!isLive(session)) return session.status === 'none' ? 'not begun' : 'ended';
  const { node, connection } = session.attachment;
  const status = session.status === 'detached' ? `detached (${session.reason}) from` : 'attached to';
  const { play } = session;
  const words = [
    `${status} connection ${connection} of ${node}`,
    `token ${session.token}`,
    `account ${session.accountId}`,
    ...(session.isRenamed ? ['renamed'] : []),
    ...(play ? [`${play.status} since ${play.since}`] : []),
    ...(play?.status === 'matched' ? [`in ${play.match}`] : []),
  ];
  return words.join(', ');
}

/** The version of the shape of data that this release knows, of all types. */
const DATA_VERSION = 1;

/** One for all: most subjects of a log have ended. */
const ENDED: SubjectState = { kind: 'session', session: { status: 'ended' } };

function evolveSession(state: SubjectState | undefined, event: Event): SubjectState {
  if (state && state.kind !== 'session') throw new Error(`${event.type} is for sessions`);
  const session = evolve(state?.session ?? initialState, event as unknown as SessionEvent, event.time);
  return session.status === 'ended' ? ENDED : { kind: 'session', session };
}

function evolveAccountState(state: SubjectState | undefined, event: Event): SubjectState {
  if (state && state.kind !== 'account') throw new Error(`${event.type} is for accounts`);
  const account = evolveAccount(state?.account ?? initialAccount, event as unknown as AccountEvent);
  return { kind: 'account', account };
}

function evolveMatchState(state: SubjectState | undefined, event: Event): SubjectState {
  if (state && state.kind !== 'match') throw new Error(`${event.type} is for matches`);
  return { kind: 'match', match: evolveMatch(state?.match ?? initialMatch, event as unknown as MatchEvent) };
}
