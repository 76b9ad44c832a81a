import type { SessionEvent } from './events.js';
import { isLive, type SessionState } from './state.js';

/**
 * The state of a session after an event. Pure.
 * @param at when the event was recorded: Redis' time, in ms since the epoch
 * @throws Error when the event cannot follow on the state: the history is broken
 */
export function evolve(state: SessionState, event: SessionEvent, at: number): SessionState {
  if (event.type === 'session.started') {
    if (state.status !== 'none') throw illegal(state, event);
    const { accountId, token, node, connection } = event.data;
    return {
      status: 'attached',
      accountId,
      token,
      isRenamed: false,
      play: null,
      attachment: { node, connection },
      since: at,
    };
  }
  if (!isLive(state)) throw illegal(state, event);
  const { accountId, token, isRenamed, play } = state;

  switch (event.type) {
    case 'session.detached':
      if (state.status !== 'attached' || play?.status === 'waiting') throw illegal(state, event);
      return {
        status: 'detached',
        accountId,
        token,
        isRenamed,
        play,
        attachment: state.attachment,
        reason: event.data.reason,
        since: at,
      };
    case 'session.resumed': {
      if (state.status !== 'detached') throw illegal(state, event);
      const { node, connection } = event.data;
      return {
        status: 'attached',
        accountId,
        token,
        isRenamed,
        play,
        attachment: { node, connection },
        since: at,
      };
    }
    case 'session.renamed':
      if (state.status !== 'attached') throw illegal(state, event);
      return { ...state, isRenamed: event.data.chosen, since: at };
    case 'queue.joined':
      if (state.status !== 'attached' || play?.status === 'waiting') throw illegal(state, event);
      return { ...state, play: { status: 'waiting', since: event.data.since ?? at }, since: at };
    case 'queue.left': {
      const { reason, match } = event.data;
      const isExpected = reason === 'failed' ? 'matched' : 'waiting';
      if (play?.status !== isExpected) throw illegal(state, event);
      if (reason !== 'matched') return { ...state, play: null, since: at };
      if (match === undefined) throw illegal(state, event);
      return { ...state, play: { status: 'matched', since: play.since, match }, since: at };
    }
    case 'session.logged_out':
      if (play?.status === 'waiting') throw illegal(state, event);
      return { status: 'ended' };
    case 'session.replaced':
      if (state.status !== 'attached' || play?.status === 'waiting') throw illegal(state, event);
      return { status: 'ended' };
    case 'session.expired':
      if (state.status !== 'detached') throw illegal(state, event);
      return { status: 'ended' };
    default:
      return unknownEvent(event);
  }
}

function illegal(state: SessionState, event: SessionEvent): Error {
  return new Error(`${event.type} cannot follow on status ${state.status}`);
}

function unknownEvent(event: never): never {
  throw new Error(`Unknown session event: ${JSON.stringify(event)}`);
}
