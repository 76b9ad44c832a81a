import { beforeEach, describe, expect, it } from 'vitest';
import { HeldSession, type Holder, Presence } from '../../../src/cluster/presence.js';
import type { LiveState, Play } from '../../../src/session/state.js';
import { accountOfSession, newAccountId, newSessionId } from '../../../src/store/ids.js';

const ID = newSessionId(newAccountId(7));

/** A connection that remembers what it was told. */
class TestHolder implements Holder {
  session: HeldSession | null = null;
  readonly told: string[] = [];

  constructor(readonly number: number) {}

  endedBy(who: string): void {
    this.told.push(`ended by ${who}`);
  }

  takenOver(): void {
    this.told.push('taken over');
  }

  lost(): void {
    this.told.push('lost');
  }
}

describe('presence', () => {
  let presence: Presence<TestHolder>;

  beforeEach(() => {
    presence = new Presence();
  });

  it('knows who has which session, until that is released', () => {
    const [one, two] = [new TestHolder(1), new TestHolder(2)];
    presence.hold(one, session('s'));
    presence.hold(two, session('t'));
    expect(presence.size).toBe(2);
    expect(presence.holderOf('s')).toBe(one);
    expect([...presence.held()].map(({ id }) => id)).toEqual(['s', 't']);

    expect(presence.release(one)?.id).toBe('s');
    expect(one.session).toBeNull();
    expect(presence.release(one)).toBeNull();
    expect(presence.holderOf('s')).toBeUndefined();
    expect([...presence.held()].map(({ id }) => id)).toEqual(['t']);
    expect([...one.told, ...two.told]).toEqual([]);
  });

  it.each([
    ['operator', 'ended by operator'],
    ['account', 'ended by account'],
    ['taken_over', 'taken over'],
    ['lost', 'lost'],
  ] as const)('tells the connection of a session that it was lost: %s', (loss, told) => {
    const holder = new TestHolder(1);
    presence.hold(holder, session('s'));
    presence.lose('s', loss);
    expect(holder).toMatchObject({ session: null, told: [told] });
    expect(presence.size).toBe(0);
  });

  it('lets a connection lose a session only if it is the one that is meant', () => {
    const holder = new TestHolder(2);
    presence.hold(holder, session('s'));
    presence.lose('s', 'taken_over', 1);
    expect(holder).toMatchObject({ session: { id: 's' }, told: [] });
    presence.lose('s', 'taken_over', 2);
    expect(holder).toMatchObject({ session: null, told: ['taken over'] });
  });

  it('tells a connection at once of a loss that came before the session was held, once', () => {
    const holder = new TestHolder(1);
    presence.lose('s', 'operator');
    presence.lose('t', 'taken_over', 1);
    presence.hold(holder, session('s'));
    presence.hold(holder, session('t'));
    expect(holder).toMatchObject({ session: null, told: ['ended by operator', 'taken over'] });
    expect(presence.size).toBe(0);
    presence.hold(holder, session('t'));
    expect(holder.session?.id).toBe('t');
  });

  it('keeps a loss for the connection it means, when another one holds the session first', () => {
    const [early, late] = [new TestHolder(1), new TestHolder(2)];
    presence.lose('s', 'taken_over', 1);
    presence.hold(late, session('s'));
    expect(late).toMatchObject({ session: { id: 's' }, told: [] });
    presence.hold(early, session('s'));
    expect(early).toMatchObject({ session: null, told: ['taken over'] });
    expect(late).toMatchObject({ session: { id: 's' }, told: [] });
  });

  it('keeps losses of several connections that are all about to hold the session', () => {
    const holders = [1, 2, 3].map((number) => new TestHolder(number));
    presence.lose('s', 'taken_over', 1);
    presence.lose('s', 'taken_over', 2);
    for (const holder of holders) presence.hold(holder, session('s'));
    expect(holders.map(({ told }) => told)).toEqual([['taken over'], ['taken over'], []]);
    expect(presence.holderOf('s')).toBe(holders[2]);
  });

  it('keeps a loss for a connection that is about to hold the session while another one still has it', () => {
    const [old, fresh] = [new TestHolder(1), new TestHolder(2)];
    presence.hold(old, session('s'));
    presence.lose('s', 'taken_over', 2); // taken from the fresh one already
    expect(old.told).toEqual([]);
    presence.lose('s', 'taken_over', 1);
    presence.hold(fresh, session('s'));
    expect([old.told, fresh.told]).toEqual([['taken over'], ['taken over']]);
    expect(presence.size).toBe(0);
  });

  it('lets a session that was ended be held by nobody who was taken over as well', () => {
    const [one, two] = [new TestHolder(1), new TestHolder(2)];
    presence.lose('s', 'taken_over', 1);
    presence.lose('s', 'account');
    presence.hold(one, session('s'));
    presence.hold(two, session('s'));
    expect([one.told, two.told]).toEqual([['taken over'], ['ended by account']]);
    expect(presence.size).toBe(0);
  });

  it.each([
    ['taken_over', 'taken over'],
    ['lost', 'lost'],
  ] as const)(
    'tells the connection that had a session when another one of the node holds it: %s',
    (loss, told) => {
      presence = new Presence(() => loss);
      const [old, fresh] = [new TestHolder(1), new TestHolder(2)];
      presence.hold(old, session('s'));
      presence.hold(fresh, session('s'));
      expect(old).toMatchObject({ session: null, told: [told] });
      expect(presence.holderOf('s')).toBe(fresh);
      presence.release(old);
      expect(presence.holderOf('s')).toBe(fresh);
    },
  );

  it('is concerned with a session that was released until its end is recorded', () => {
    const holder = new TestHolder(1);
    presence.hold(holder, session('s'));
    expect([presence.concerns('s'), presence.concerns('t')]).toEqual([true, false]);
    presence.release(holder);
    expect(presence.concerns('s')).toBe(false);
    presence.leaves('s');
    expect([presence.concerns('s'), presence.size]).toEqual([true, 0]);
    presence.left('s');
    expect(presence.concerns('s')).toBe(false);
  });

  it('remembers only so many losses that nobody has come for, the latest', () => {
    for (let i = 0; i < 1500; i++) presence.lose(`s${i}`, 'operator');
    const holders = [0, 499, 500, 1499].map((i) => {
      const holder = new TestHolder(i);
      presence.hold(holder, session(`s${i}`));
      return holder;
    });
    expect(holders.map(({ told }) => told.length)).toEqual([0, 0, 1, 1]);
    expect(presence.size).toBe(2);
  });

  it('keeps what is known of a session, and its name, in step', () => {
    const holder = new TestHolder(1);
    presence.hold(holder, session('s'));
    presence.update('s', { ...session('s').known, version: 2, displayName: 'Cool' });
    expect(holder.session).toMatchObject({ displayName: 'Cool', known: { version: 2 } });
    presence.update('s', { ...session('s').known, version: 3 });
    expect(holder.session).toMatchObject({ displayName: 'jane.doe', known: { version: 3 } });
    presence.update('t', session('t').known);
    expect(presence.holderOf('t')).toBeUndefined();
  });
});

describe('a held session', () => {
  const common = {
    accountId: accountOfSession(ID),
    token: 'YhiaECk_kOS8Il1gPTwOgA',
    attachment: { node: 'node-1-abcdefgh', connection: 1234 },
    since: 1_795_805_212_345,
  };
  const plays: readonly (Play | null)[] = [
    null,
    { status: 'waiting', since: 1_795_805_211_000 },
    { status: 'matched', since: 1_795_805_211_000, match: 'm0123456789abcdef' },
  ];

  it.each([null, 'Cool'].flatMap((displayName) => plays.map((play) => ({ displayName, play }))))(
    'keeps all that is known of it: %o',
    ({ displayName, play }) => {
      const state = { ...common, isRenamed: displayName !== null, play };
      for (const known of [
        { version: 3, displayName, state: { ...state, status: 'attached' } },
        { version: 4, displayName, state: { ...state, status: 'detached', reason: 'node_lost' } },
      ] as const) {
        const held = new HeldSession(ID, 'jane.doe', known, 5);
        expect(held.known).toEqual(known);
        expect(held.accountId).toBe(common.accountId);
        expect(held.displayName).toBe(displayName ?? 'jane.doe');
      }
    },
  );
});

function session(id: string): HeldSession {
  const state: LiveState = {
    status: 'attached',
    accountId: 'a1',
    token: 'hash',
    isRenamed: false,
    play: null,
    attachment: { node: 'n', connection: 1 },
    since: 0,
  };
  const known = { state, version: 1, displayName: null };
  return new HeldSession(id, 'jane.doe', known, 0);
}
