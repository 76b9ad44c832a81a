import type { EventData } from '../contract/events.generated.js';

/** What can happen to a match, past tense. The data of each is described in `schemas/events/`. */
export type MatchEventType = Extract<keyof EventData, `match.${string}`>;

export type MatchEvent = {
  [T in MatchEventType]: { readonly type: T; readonly data: Readonly<EventData[T]> };
}[MatchEventType];

/** Where the game server of a match runs. */
export type GameServer = EventData['match.started'];

/** State of a match. Players are session ids, in the order in which they joined the queue. */
export type MatchState =
  | { readonly status: 'none' }
  | { readonly status: 'formed'; readonly players: readonly string[] }
  | { readonly status: 'started'; readonly players: readonly string[]; readonly server: GameServer }
  /** Its players are still to be told and given back to the queue. */
  | { readonly status: 'failed'; readonly players: readonly string[] }
  | { readonly status: 'ended' };

export type MatchCommand =
  | { readonly type: 'form'; readonly players: readonly string[] }
  | { readonly type: 'start'; readonly server: GameServer }
  | { readonly type: 'fail' }
  | { readonly type: 'end'; readonly reason: EventData['match.ended']['reason'] };

export const initialMatch: MatchState = { status: 'none' };

/** What a command does to a match in a state; null if it doesn't apply. Pure. */
export function decideMatch(command: MatchCommand, state: MatchState): MatchEvent | null {
  switch (command.type) {
    case 'form':
      return state.status === 'none'
        ? { type: 'match.formed', data: { players: [...command.players] as [string, ...string[]] } }
        : null;
    case 'start':
      return state.status === 'formed' ? { type: 'match.started', data: { ...command.server } } : null;
    case 'fail':
      return state.status === 'formed' ? { type: 'match.failed', data: {} } : null;
    case 'end':
      return state.status === 'started' ? { type: 'match.ended', data: { reason: command.reason } } : null;
    default:
      return unknown(command);
  }
}

/** The state after an event. Pure. @throws Error when the event cannot follow on the state: the history is broken */
export function evolveMatch(state: MatchState, event: MatchEvent): MatchState {
  switch (event.type) {
    case 'match.formed':
      if (state.status !== 'none') throw illegal(state, event);
      return { status: 'formed', players: event.data.players };
    case 'match.started':
      if (state.status !== 'formed') throw illegal(state, event);
      return { status: 'started', players: state.players, server: event.data };
    case 'match.failed':
      if (state.status !== 'formed') throw illegal(state, event);
      return { status: 'failed', players: state.players };
    case 'match.ended':
      if (state.status !== 'started') throw illegal(state, event);
      return { status: 'ended' };
    default:
      return unknown(event);
  }
}

function illegal(state: MatchState, event: MatchEvent): Error {
  return new Error(`${event.type} cannot follow on status ${state.status}`);
}

function unknown(value: never): never {
  throw new Error(`Unknown: ${JSON.stringify(value)}`);
}
