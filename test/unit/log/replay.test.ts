import { expect, it } from 'vitest';
import type { Event } from '../../../src/log/entry.js';
import { type Evolve, replay, replayAll, UnknownEvent } from '../../../src/log/replay.js';

/** A domain of its own: texts that grow. */
const append: Evolve<string> = (state = '', event) => {
  if (event.type === 'new') throw new UnknownEvent(event);
  if (event.type === 'bad') throw new Error('bad cannot follow');
  return state + event.type;
};

it('takes each subject through its events', () => {
  const subjects = replayAll([of('x', 1, 'a'), of('y', 1, 'b'), of('x', 2, 'c'), of('x', 3, 'd')], append);
  expect(subjects).toEqual(
    new Map([
      ['x', { status: 'whole', version: 3, time: 1003, state: 'acd' }],
      ['y', { status: 'whole', version: 1, time: 1001, state: 'b' }],
    ]),
  );
});

it('changes nothing that it was given', () => {
  const before = replay(undefined, of('x', 1, 'a'), append);
  replay(before, of('x', 2, 'b'), append);
  expect(before).toEqual({ status: 'whole', version: 1, time: 1001, state: 'a' });
});

it.each([
  ['doubled', [1, 2, 2], 'version 2 follows on version 2 (event 0:1002-0)'],
  ['missing', [1, 3], 'version 3 follows on version 1 (event 0:1003-0)'],
  ['missing after the beginning was trimmed', [5, 6, 8], 'version 8 follows on version 6 (event 0:1008-0)'],
  ['doubled at the beginning', [1, 1], 'version 1 follows on version 1 (event 0:1001-0)'],
  ['out of order', [1, 2, 3, 2], 'version 2 follows on version 3 (event 0:1002-0)'],
  ['without a version', [0], 'version 0 is the first (event 0:1000-0)'],
])('finds an event that is %s', (_, versions, problem) => {
  expect(after(versions.map((version) => of('x', version, 'a')))).toMatchObject({
    status: 'broken',
    problem,
  });
});

it('finds an event that cannot follow', () => {
  const problem = 'bad cannot follow (event 0:1002-0)';
  expect(after([of('x', 1, 'a'), of('x', 2, 'bad')])).toMatchObject({ status: 'broken', problem });
});

it('keeps the first problem, and goes on counting', () => {
  expect(after([of('x', 1, 'a'), of('x', 3, 'a'), of('x', 4, 'bad')])).toEqual({
    status: 'broken',
    version: 4,
    time: 1004,
    problem: 'version 3 follows on version 1 (event 0:1003-0)',
  });
});

it('cannot tell the state of a subject that began before the log', () => {
  expect(after([of('x', 4, 'a'), of('x', 5, 'bad')])).toEqual({
    status: 'partial',
    reason: 'trimmed',
    version: 5,
    time: 1005,
  });
});

it('cannot tell the state after an event that it does not know', () => {
  expect(after([of('x', 1, 'a'), of('x', 2, 'new'), of('x', 3, 'a')])).toEqual({
    status: 'partial',
    reason: 'unknown',
    version: 3,
    time: 1003,
  });
});

function after(events: readonly Event[]) {
  return replayAll(events, append).get('x');
}

function of(subject: string, version: number, type: string): Event {
  const time = 1000 + version;
  return { partition: 0, id: `${time}-0`, time, type, dataVersion: 1, subject, version, node: 'n', data: {} };
}
