import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { SessionCommand } from '../../../src/session/commands.js';
import { decide } from '../../../src/session/decide.js';
import type { SessionEvent } from '../../../src/session/events.js';
import { evolve } from '../../../src/session/evolve.js';
import { initialState, type SessionState } from '../../../src/session/state.js';

const attachment = fc.record({ node: fc.constantFrom('n1', 'n2'), connection: fc.constantFrom(1, 2) });
const node = fc.constantFrom('n1', 'n2');
const match = fc.constantFrom('m1', 'm2');

const commands: fc.Arbitrary<SessionCommand> = fc.oneof(
  fc.record({ type: fc.constant('start'), accountId: fc.constant('a'), token: fc.constant('t'), attachment }),
  fc.record(
    { type: fc.constant('resume'), attachment, lostNode: node, takeOver: fc.boolean() },
    { requiredKeys: ['type', 'attachment'] },
  ),
  fc.record({
    type: fc.constant('reclaim'),
    attachment,
    play: fc.constantFrom(null, { status: 'waiting', since: 1 }),
  }),
  fc.record({ type: fc.constant('detach'), attachment, reason: fc.constantFrom('closed', 'drained') }),
  fc.record({ type: fc.constant('loseNode'), node }),
  fc.record({ type: fc.constant('rename'), attachment, chosen: fc.boolean() }),
  fc.record({ type: fc.constant('joinQueue'), attachment, over: match }),
  fc.record({ type: fc.constant('leaveQueue'), attachment }),
  fc.record({ type: fc.constant('match'), match }),
  fc.record({ type: fc.constant('unmatch'), match }),
  fc.record({ type: fc.constant('expire'), now: fc.nat(100_000), resumeMs: fc.nat(50_000) }),
  // ends are rarer, or there would be no long histories
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ type: fc.constant('loseNode'), node }) },
    {
      weight: 1,
      arbitrary: fc.oneof(
        fc.record({ type: fc.constant('logOut'), by: fc.constant('client'), attachment }),
        fc.record({ type: fc.constant('logOut'), by: fc.constantFrom('operator', 'account') }),
        fc.record({ type: fc.constant('replace'), attachment, successor: fc.constant('s2') }),
      ),
    },
  ),
) as fc.Arbitrary<SessionCommand>;

/** Takes commands one after the other; each commit is at a time of its own. */
function play(sequence: readonly SessionCommand[]) {
  const history: { event: SessionEvent; at: number }[] = [];
  let state: SessionState = initialState;
  for (const [i, command] of sequence.entries()) {
    const decision = decide(command, state);
    if ('refused' in decision) continue;
    const at = (i + 1) * 1000;
    for (const event of decision.events) {
      state = evolve(state, event, at);
      history.push({ event, at });
    }
  }
  return { history, state };
}

const ENDS = new Set(['session.logged_out', 'session.replaced', 'session.expired']);

/** Whether events can follow on each other like this, by rules of its own that know nothing of states. */
function isLegal(types: readonly string[]): boolean {
  return types.every((type, i) => {
    const before = types.slice(0, i);
    const turns = before.filter((one) => /started|detached|resumed/.test(one));
    const isAttached = turns.length > 0 && turns.at(-1) !== 'session.detached';
    if ((type === 'session.started') !== (i === 0)) return false;
    if (before.some((one) => ENDS.has(one))) return false;
    if (type === 'session.resumed' || type === 'session.expired') return !isAttached;
    if (/detached|replaced|renamed|joined/.test(type)) return isAttached;
    return true;
  });
}

it('any sequence of commands gives a legal history', () => {
  fc.assert(
    fc.property(fc.array(commands, { maxLength: 60 }), (sequence) => {
      const types = play(sequence).history.map(({ event }) => event.type);
      expect(types).toSatisfy(isLegal);
    }),
    { numRuns: 2000 },
  );
});

it('replay of a history gives the same state', () => {
  fc.assert(
    fc.property(fc.array(commands, { maxLength: 60 }), (sequence) => {
      const { history, state } = play(sequence);
      const stored = JSON.parse(JSON.stringify(history)) as typeof history;
      const replayed = stored.reduce<SessionState>((s, { event, at }) => evolve(s, event, at), initialState);
      expect(replayed).toEqual(state);
    }),
    { numRuns: 2000 },
  );
});

it('a session waits, or is matched, as its joining and leaving say', () => {
  fc.assert(
    fc.property(fc.array(commands, { maxLength: 60 }), (sequence) => {
      let isWaiting = false;
      for (const { event } of play(sequence).history) {
        if (event.type === 'queue.joined') {
          expect(isWaiting).toBe(false);
          isWaiting = true;
        } else if (event.type === 'queue.left') {
          expect(isWaiting).toBe(event.data.reason !== 'failed');
          isWaiting = false;
        } else if (event.type === 'session.detached' || ENDS.has(event.type)) {
          expect(isWaiting).toBe(false);
        }
      }
    }),
    { numRuns: 2000 },
  );
});

it('only the attachment that a session has can act for it, and the one that had it last log it out', () => {
  fc.assert(
    fc.property(fc.array(commands, { maxLength: 40 }), commands, (sequence, last) => {
      const { state } = play(sequence);
      const decision = decide(last, state);
      if (!('attachment' in last) || !/detach|logOut|replace|rename|Queue/.test(last.type)) return;
      if ('refused' in decision) return;
      expect(state).toMatchObject({ attachment: last.attachment });
      if (last.type !== 'logOut') expect(state.status).toBe('attached');
    }),
    { numRuns: 2000 },
  );
});
