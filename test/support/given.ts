import { expect } from 'vitest';
import type { SessionCommand } from '../../src/session/commands.js';
import { decide, type Refusal } from '../../src/session/decide.js';
import type { SessionEvent } from '../../src/session/events.js';
import { evolve } from '../../src/session/evolve.js';
import { initialState, type SessionState } from '../../src/session/state.js';

/** The state that events lead to; the first was recorded at 1000, each other one 1000 ms after the one before. */
export function stateAfter(...events: readonly SessionEvent[]): SessionState {
  return events.reduce((state, event, i) => evolve(state, event, (i + 1) * 1000), initialState);
}

/** Given what has happened to a session, when it is asked something, then this happens, or it is refused. */
export function given(...events: readonly SessionEvent[]) {
  const state = stateAfter(...events);
  return {
    when(command: SessionCommand) {
      const decision = decide(command, state);
      return {
        happens(...expected: readonly SessionEvent[]) {
          expect(decision).toEqual({ events: expected });
          // and it can have happened
          expected.reduce((before, event) => evolve(before, event, 99_000), state);
        },
        isRefused(refused: Refusal) {
          expect(decision).toEqual({ refused });
        },
      };
    },
  };
}
