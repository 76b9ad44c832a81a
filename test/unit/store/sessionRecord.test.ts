import { describe, expect, it } from 'vitest';
import type { LiveState, Play } from '../../../src/session/state.js';
import { accountOfSession, newAccountId, newSessionId } from '../../../src/store/ids.js';
import { packSession, type Stored, unpackSession } from '../../../src/store/sessionRecord.js';

const ID = newSessionId(newAccountId(7));

const PLAYS: readonly (Play | null)[] = [
  null,
  { status: 'waiting', since: 1_795_805_211_000 },
  { status: 'matched', since: 1_795_805_211_000, match: 'm0123456789abcdef' },
];

describe('a session as text', () => {
  it.each([null, 'Jane "二" Doe'].flatMap((displayName) => PLAYS.map((play) => ({ displayName, play }))))(
    'is what it was: %o',
    ({ displayName, play }) => {
      const state: LiveState = {
        status: 'attached',
        accountId: accountOfSession(ID),
        token: 'YhiaECk_kOS8Il1gPTwOgA',
        isRenamed: displayName !== null,
        play,
        attachment: { node: 'node-1-abcdefgh', connection: 1234 },
        since: 1_795_805_212_345,
      };
      const stored: Stored<LiveState> = { version: 3, displayName, state };
      expect(unpackSession(ID, packSession(stored))).toEqual(stored);
    },
  );
});
