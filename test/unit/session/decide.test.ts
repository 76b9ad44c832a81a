import { describe, expect, it } from 'vitest';
import type { SessionCommand } from '../../../src/session/commands.js';
import type { SessionEvent } from '../../../src/session/events.js';
import { evolve } from '../../../src/session/evolve.js';
import type { Attachment } from '../../../src/session/state.js';
import { given, stateAfter } from '../../support/given.js';

const ACCOUNT = 'a0123456789abcdef';
const TOKEN = 'token-hash';
const MATCH = 'm0123456789abcdef';
const here: Attachment = { node: 'n1', connection: 1 };
const sameNode: Attachment = { node: 'n1', connection: 2 };
const there: Attachment = { node: 'n2', connection: 1 };

const started: SessionEvent = {
  type: 'session.started',
  data: { accountId: ACCOUNT, token: TOKEN, ...here },
};
const detached = (reason: 'closed' | 'drained' | 'node_lost' | 'taken_over'): SessionEvent => ({
  type: 'session.detached',
  data: { reason },
});
const resumed = (where: Attachment): SessionEvent => ({ type: 'session.resumed', data: { ...where } });
const loggedOut: SessionEvent = { type: 'session.logged_out', data: { by: 'client' } };
const replaced: SessionEvent = { type: 'session.replaced', data: { successor: 's2' } };
const expired: SessionEvent = { type: 'session.expired', data: {} };
const renamed: SessionEvent = { type: 'session.renamed', data: { chosen: true } };
const joined: SessionEvent = { type: 'queue.joined', data: {} };
type LeftReason = 'client' | 'detached' | 'ended' | 'matched' | 'failed';
const left = (reason: LeftReason, match?: string): SessionEvent => ({
  type: 'queue.left',
  data: match === undefined ? { reason } : { reason, match },
});
const matched = left('matched', MATCH);

const COMMANDS = {
  start: { type: 'start', accountId: ACCOUNT, token: TOKEN, attachment: here },
  resume: { type: 'resume', attachment: there },
  reclaim: { type: 'reclaim', attachment: here, play: null },
  detach: { type: 'detach', attachment: here, reason: 'closed' },
  loseNode: { type: 'loseNode', node: 'n1' },
  logOut: { type: 'logOut', by: 'client', attachment: here },
  endByOperator: { type: 'logOut', by: 'operator', actor: 'ops' },
  endByAccount: { type: 'logOut', by: 'account' },
  rename: { type: 'rename', attachment: here, chosen: true },
  replace: { type: 'replace', attachment: here, successor: 's2' },
  joinQueue: { type: 'joinQueue', attachment: here },
  leaveQueue: { type: 'leaveQueue', attachment: here },
  match: { type: 'match', match: MATCH },
  unmatch: { type: 'unmatch', match: MATCH },
  expire: { type: 'expire', now: 1e12, resumeMs: 1 },
} as const satisfies Record<string, SessionCommand>;

const ENDS: [string, SessionEvent[]][] = [
  ['logged out', [started, loggedOut]],
  ['replaced', [started, replaced]],
  ['expired', [started, detached('closed'), expired]],
];

describe('a session that has not begun', () => {
  it('starts', () => given().when(COMMANDS.start).happens(started));

  it.each(Object.values(COMMANDS).filter(({ type }) => type !== 'start'))(
    'is not there for $type',
    (command) => given().when(command).isRefused('no_session'),
  );
});

describe.each(ENDS)('a session that is %s', (_, history) => {
  it.each(Object.values(COMMANDS))('is not there for $type', (command) =>
    given(...history)
      .when(command)
      .isRefused(command.type === 'start' ? 'already_started' : 'no_session'),
  );
});

describe('an attached session', () => {
  const session = given(started);

  it('does not start again', () => session.when(COMMANDS.start).isRefused('already_started'));

  it('is not resumed elsewhere while its node lives', () => {
    session.when(COMMANDS.resume).isRefused('attached_elsewhere');
    session.when({ ...COMMANDS.resume, lostNode: 'n3' }).isRefused('attached_elsewhere');
  });

  it('is resumed elsewhere when its node is lost, in one go', () =>
    session.when({ ...COMMANDS.resume, lostNode: 'n1' }).happens(detached('node_lost'), resumed(there)));

  it('is taken over if that is asked for, from another node or connection', () => {
    session.when({ ...COMMANDS.resume, takeOver: true }).happens(detached('taken_over'), resumed(there));
    session
      .when({ type: 'resume', attachment: sameNode, takeOver: true })
      .happens(detached('taken_over'), resumed(sameNode));
  });

  it('is not taken over from itself', () =>
    session.when({ type: 'resume', attachment: here, takeOver: true }).isRefused('attached_elsewhere'));

  it('is not reclaimed', () => session.when(COMMANDS.reclaim).isRefused('attached_elsewhere'));

  it.each(['closed', 'drained'] as const)('is detached when its connection is %s', (reason) =>
    session.when({ type: 'detach', attachment: here, reason }).happens(detached(reason)),
  );

  it('is detached with its node only', () => {
    session.when(COMMANDS.loseNode).happens(detached('node_lost'));
    session.when({ type: 'loseNode', node: 'n2' }).isRefused('not_attached_here');
  });

  it('ends when its client, an operator or its account says so', () => {
    session.when(COMMANDS.logOut).happens(loggedOut);
    session
      .when(COMMANDS.endByOperator)
      .happens({ type: 'session.logged_out', data: { by: 'operator', actor: 'ops' } });
    session.when(COMMANDS.endByAccount).happens({ type: 'session.logged_out', data: { by: 'account' } });
  });

  it('is replaced', () => session.when(COMMANDS.replace).happens(replaced));

  it('is renamed, and back', () => {
    session.when(COMMANDS.rename).happens(renamed);
    session
      .when({ ...COMMANDS.rename, chosen: false })
      .happens({ type: 'session.renamed', data: { chosen: false } });
  });

  it('does not expire', () => session.when(COMMANDS.expire).isRefused('not_due'));

  it.each([
    COMMANDS.detach,
    COMMANDS.logOut,
    COMMANDS.rename,
    COMMANDS.replace,
    COMMANDS.joinQueue,
    COMMANDS.leaveQueue,
  ])('refuses $type of connections that do not have it', (command) => {
    for (const attachment of [sameNode, there]) {
      session.when({ ...command, attachment }).isRefused('not_attached_here');
    }
    // nor of the one that had it before
    given(started, detached('closed'), resumed(there)).when(command).isRefused('not_attached_here');
  });
});

describe('a detached session', () => {
  const session = given(started, detached('closed'));

  it('is resumed anywhere', () => {
    session.when(COMMANDS.resume).happens(resumed(there));
    session.when({ ...COMMANDS.resume, takeOver: true, lostNode: 'n1' }).happens(resumed(there));
  });

  it('is reclaimed by the connection of a node that was taken for lost, and by no other', () => {
    const lost = given(started, detached('node_lost'));
    lost.when(COMMANDS.reclaim).happens(resumed(here));
    lost.when({ ...COMMANDS.reclaim, attachment: sameNode }).isRefused('attached_elsewhere');
    session.when(COMMANDS.reclaim).isRefused('attached_elsewhere');
  });

  it('waits for a match again when it is reclaimed, since when it had joined', () => {
    const again: SessionEvent = { type: 'queue.joined', data: { since: 2000 } };
    const waiting = { status: 'waiting', since: 2000 } as const;
    const reclaim = { ...COMMANDS.reclaim, play: waiting };
    const lost = given(started, joined, left('detached'), detached('node_lost'));
    lost.when(reclaim).happens(resumed(here), again);
    lost
      .when({ ...reclaim, play: { status: 'matched', since: 2000, match: MATCH } })
      .happens(resumed(here), again);
    const stillMatched = given(started, joined, matched, detached('node_lost'));
    stillMatched.when(reclaim).happens(resumed(here));
  });

  it('ends when the client that had it last said so, should that be recorded late', () => {
    session.when(COMMANDS.logOut).happens(loggedOut);
    given(started, detached('node_lost')).when(COMMANDS.logOut).happens(loggedOut);
    for (const attachment of [sameNode, there]) {
      session.when({ ...COMMANDS.logOut, attachment }).isRefused('not_attached_here');
    }
  });

  it('ends from outside', () => {
    session.when(COMMANDS.endByAccount).happens({ type: 'session.logged_out', data: { by: 'account' } });
  });

  it('expires when it has waited long enough', () => {
    const wait = { type: 'expire', resumeMs: 500 } as const; // detached at 2000
    session.when({ ...wait, now: 2499 }).isRefused('not_due');
    session.when({ ...wait, now: 2500 }).happens(expired);
  });

  it.each([COMMANDS.detach, COMMANDS.loseNode, COMMANDS.rename, COMMANDS.replace, COMMANDS.joinQueue])(
    'refuses $type',
    (command) => session.when(command).isRefused('not_attached_here'),
  );
});

describe('a session that waits for a match', () => {
  const session = given(started, joined);

  it('joins once', () => session.when(COMMANDS.joinQueue).isRefused('in_queue'));
  it('leaves', () => session.when(COMMANDS.leaveQueue).happens(left('client')));
  it('is taken by a match', () => session.when(COMMANDS.match).happens(matched));
  it('is given back by none', () => session.when(COMMANDS.unmatch).isRefused('not_in_queue'));

  it('waits no more when it is left, lost or taken over', () => {
    session.when(COMMANDS.detach).happens(left('detached'), detached('closed'));
    session.when(COMMANDS.loseNode).happens(left('detached'), detached('node_lost'));
    session
      .when({ ...COMMANDS.resume, takeOver: true })
      .happens(left('detached'), detached('taken_over'), resumed(there));
    session
      .when({ ...COMMANDS.resume, lostNode: 'n1' })
      .happens(left('detached'), detached('node_lost'), resumed(there));
  });

  it('waits no more when it ends', () => {
    session.when(COMMANDS.logOut).happens(left('ended'), loggedOut);
    session
      .when(COMMANDS.endByAccount)
      .happens(left('ended'), { type: 'session.logged_out', data: { by: 'account' } });
    session.when(COMMANDS.replace).happens(left('ended'), replaced);
  });

  it('may be renamed', () => session.when(COMMANDS.rename).happens(renamed));
});

describe('a session that a match has', () => {
  const session = given(started, joined, matched);

  it('is taken by no other', () => {
    session.when(COMMANDS.match).isRefused('not_in_queue');
    session.when(COMMANDS.leaveQueue).isRefused('not_in_queue');
    session.when(COMMANDS.joinQueue).isRefused('in_queue');
  });

  it('joins again when the match is over', () => {
    session.when({ ...COMMANDS.joinQueue, over: MATCH }).happens(joined);
    session.when({ ...COMMANDS.joinQueue, over: 'm-another' }).isRefused('in_queue');
  });

  it('is given back to its place in line, by that match only', () => {
    session.when(COMMANDS.unmatch).happens({ type: 'queue.joined', data: { since: 2000 } });
    session.when({ type: 'unmatch', match: 'm-another' }).isRefused('not_in_queue');
  });

  it('is let go when it is not there to be given back', () => {
    const gone = given(started, joined, matched, detached('closed'));
    gone.when(COMMANDS.unmatch).happens(left('failed', MATCH));
    given(started, joined, matched, detached('closed'), resumed(there))
      .when(COMMANDS.unmatch)
      .happens({ type: 'queue.joined', data: { since: 2000 } });
  });

  it('just ends', () => session.when(COMMANDS.logOut).happens(loggedOut));
});

describe('a session that waits for no match', () => {
  it('joins', () => given(started).when(COMMANDS.joinQueue).happens(joined));
  it('is not taken', () => given(started).when(COMMANDS.match).isRefused('not_in_queue'));
  it('does not leave', () => given(started).when(COMMANDS.leaveQueue).isRefused('not_in_queue'));
});

describe('evolve', () => {
  it('keeps name, token and account, and tells since when', () => {
    expect(stateAfter(started, renamed, detached('drained'), resumed(there))).toEqual({
      status: 'attached',
      accountId: ACCOUNT,
      token: TOKEN,
      isRenamed: true,
      play: null,
      attachment: there,
      since: 4000,
    });
  });

  it.each([
    ['a second start', [started], started],
    ['anything before the start', [], renamed],
    ['a detachment of what is detached', [started, detached('closed')], detached('closed')],
    ['a detachment of what waits', [started, joined], detached('closed')],
    ['a resumption of what is attached', [started], resumed(there)],
    ['an end of what waits', [started, joined], loggedOut],
    ['an expiry of what is attached', [started], expired],
    ['a replacement of what is detached', [started, detached('closed')], replaced],
    ['a new name of what is detached', [started, detached('closed')], renamed],
    ['a second joining', [started, joined], joined],
    ['a leaving of what does not wait', [started], left('client')],
    ['a failure of a match that is none', [started, joined], left('failed', MATCH)],
    ['a match without its name', [started, joined], left('matched')],
    ['anything after the end', [started, loggedOut], detached('closed')],
  ] as [string, SessionEvent[], SessionEvent][])('refuses %s', (_, history, event) => {
    expect(() => evolve(stateAfter(...history), event, 0)).toThrow('cannot follow');
  });
});
