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
      attachment: { node, connection },
      since: at,
    };
  }
  if (!isLive(state)) throw illegal(state, event);
  const { accountId, token, isRenamed } = state;

  switch (event.type) {
    case 'session.detached':
      if (state.status !== 'attached') throw illegal(state, event);
      return {
        status: 'detached',
        accountId,
        token,
        isRenamed,
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
        attachment: { node, connection },
        since: at,
      };
    }
    case 'session.renamed':
      if (state.status !== 'attached') throw illegal(state, event);
      return { ...state, isRenamed: event.data.chosen, since: at };
    case 'session.logged_out':
      return { status: 'ended' };
    case 'session.replaced':
      if (state.status !== 'attached') throw illegal(state, event);
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
