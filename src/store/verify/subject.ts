import { type AccountState, evolveAccount, initialAccount } from '../../account/account.js';
import type { AccountEvent } from '../../account/events.js';
import { compileEventValidators } from '../../contract/validators.js';
import type { StoredRecord } from '../../log/operation.js';
import type { Event } from '../../log/read.js';
import { type Evolve, UnknownEvent } from '../../log/replay.js';
import type { SessionEvent } from '../../session/events.js';
import { evolve } from '../../session/evolve.js';
import { initialState, isLive, type SessionState } from '../../session/state.js';
import { readAccount } from '../accounts.js';
import { isSessionId } from '../ids.js';
import { readSession } from '../sessionRecord.js';

/** State of what the log speaks of, a session or an account. */
export type SubjectState =
  | { readonly kind: 'session'; readonly session: SessionState }
  | { readonly kind: 'account'; readonly account: AccountState };

/**
 * Takes a session or an account one event further, after a look at the event's data.
 * @returns the function; making it reads and compiles the schemas
 */
export function subjectEvolve(): Evolve<SubjectState> {
  const validators = compileEventValidators();
  return (state, event) => {
    const isValid = event.dataVersion === DATA_VERSION ? validators.get(event.type) : undefined;
    if (!isValid) throw new UnknownEvent(event);
    if (!isValid(event.data)) throw new Error(`the data of ${event.type} are not valid`);
    if (event.type.startsWith('session.')) return evolveSession(state, event);
    return evolveAccountState(state, event);
  };
}

/** The state that a record tells of; null when it can't be read. */
export function readSubject(subject: string, record: StoredRecord): SubjectState | null {
  try {
    return isSessionId(subject)
      ? { kind: 'session', session: readSession(subject, record).state }
      : { kind: 'account', account: readAccount(record).state };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return null;
    throw error;
  }
}

/** Whether a subject in this state has a record. */
export function isStored(state: SubjectState): boolean {
  return state.kind === 'session' ? isLive(state.session) : state.account.status === 'registered';
}

/** A state in words, all that matters of it but the time: equal states read the same. */
export function inWords(state: SubjectState): string {
  if (state.kind === 'account') {
    if (state.account.status === 'none') return 'not registered';
    const tokens = state.account.tokens.map(({ token, expiresAt }) => `${token} until ${expiresAt}`);
    return `registered with ${tokens.length === 0 ? 'no token' : `tokens ${tokens.join(', ')}`}`;
  }
  const { session } = state;
  if (!isLive(session)) return session.status === 'none' ? 'not begun' : 'ended';
  const { node, connection } = session.attachment;
  const status = session.status === 'detached' ? `detached (${session.reason}) from` : 'attached to';
  return `${status} connection ${connection} of ${node}, token ${session.token}, account ${session.accountId}`;
}

/** The version of the shape of data that this release knows, of all types. */
const DATA_VERSION = 1;

/** One for all: most subjects of a log have ended. */
const ENDED: SubjectState = { kind: 'session', session: { status: 'ended' } };

function evolveSession(state: SubjectState | undefined, event: Event): SubjectState {
  if (state?.kind === 'account') throw new Error(`${event.type} is not for an account`);
  const session = evolve(state?.session ?? initialState, event as unknown as SessionEvent, event.time);
  return session.status === 'ended' ? ENDED : { kind: 'session', session };
}

function evolveAccountState(state: SubjectState | undefined, event: Event): SubjectState {
  if (state?.kind === 'session') throw new Error(`${event.type} is not for a session`);
  const account = evolveAccount(state?.account ?? initialAccount, event as unknown as AccountEvent);
  return { kind: 'account', account };
}
