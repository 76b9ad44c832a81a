import { describe, expect, it } from 'vitest';
import {
  decideMatch,
  evolveMatch,
  initialMatch,
  type MatchCommand,
  type MatchEvent,
} from '../../../src/match/match.js';

const players: [string, ...string[]] = ['s1', 's2'];
const server = { host: '10.1.2.3', port: 7001, server: 'id', machine: 'game-1' };
const formed: MatchEvent = { type: 'match.formed', data: { players } };
const started: MatchEvent = { type: 'match.started', data: server };
const failed: MatchEvent = { type: 'match.failed', data: {} };
const ended: MatchEvent = { type: 'match.ended', data: { reason: 'exited' } };

const HISTORIES: Record<string, MatchEvent[]> = {
  none: [],
  formed: [formed],
  started: [formed, started],
  failed: [formed, failed],
  ended: [formed, started, ended],
};

/** What each command gives; in all other states it does not apply. */
const COMMANDS: [MatchCommand, keyof typeof HISTORIES, MatchEvent][] = [
  [{ type: 'form', players }, 'none', formed],
  [{ type: 'start', server }, 'formed', started],
  [{ type: 'fail' }, 'formed', failed],
  [{ type: 'end', reason: 'exited' }, 'started', ended],
];

const stateOf = (history: MatchEvent[]) => history.reduce(evolveMatch, initialMatch);

describe('a match', () => {
  it.each(COMMANDS)('%o applies when it is %s', (command, status, event) => {
    for (const [name, history] of Object.entries(HISTORIES)) {
      expect(decideMatch(command, stateOf(history))).toEqual(name === status ? event : null);
    }
  });

  it.each(COMMANDS)('%o: its event follows when it is %s only', (_, status, event) => {
    for (const [name, history] of Object.entries(HISTORIES)) {
      const follow = () => evolveMatch(stateOf(history), event);
      if (name === status) expect(follow).not.toThrow();
      else expect(follow).toThrow('cannot follow');
    }
  });

  it('knows its players and its server', () => {
    expect(stateOf([formed])).toEqual({ status: 'formed', players });
    expect(stateOf([formed, started])).toEqual({ status: 'started', players, server });
    expect(stateOf([formed, failed])).toEqual({ status: 'failed', players });
    expect(stateOf([formed, started, ended])).toEqual({ status: 'ended' });
  });
});
