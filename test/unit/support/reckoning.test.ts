import { describe, expect, it } from 'vitest';
import { hashToken } from '../../../src/store/ids.js';
import type { Act, Outcome, Request } from '../../faults/harness/act.js';
import { liesAbout, type ReckoningOptions } from '../../faults/harness/reckoning.js';
import type { LogEntry } from '../../support/log.js';

const TOKEN = '550e8400-e29b-41d4-a716-446655440000';
const RESUME_MS = 10_000;

/** Something asked for at a time, and answered 10 ms later. */
function act(at: number, request: Request, outcome: Outcome = 'done'): Act {
  return { request, outcome, askedAt: at, endedAt: at + 10, ...(outcome === 'done' && { token: TOKEN }) };
}

/** An event at a time; those of a beginning have a connection of their own. */
function event(at: number, subject: string, type: string, data: object = {}): LogEntry {
  const isBeginning = type === 'session.started' || type === 'session.resumed';
  const attachment = { token: hashToken(TOKEN), accountId: 'a', node: 'n', connection: at };
  return {
    id: `${at}-0`,
    partition: 0,
    type,
    dataVersion: 1,
    subject,
    version: 1,
    node: 'n',
    data: { ...(isBeginning && attachment), ...data },
  };
}

function lies(diary: Act[], log: LogEntry[], options: Partial<ReckoningOptions> = {}, visits = 1): string[] {
  const player = { number: 1, account: { username: 'p', token: TOKEN }, diary, visits };
  return liesAbout(player, log, { resumeMs: RESUME_MS, ...options });
}

const CLIENT = { by: 'client' };

describe('the checker of the fault tests', () => {
  it('finds nothing wrong with what was asked for, told and recorded', () => {
    const diary = [act(100, 'token_auth'), act(200, 'set_username'), act(300, 'logout')];
    const log = [
      event(105, 's', 'session.started'),
      event(205, 's', 'session.renamed', { chosen: true }),
      event(305, 's', 'session.logged_out', CLIENT),
    ];
    expect(lies(diary, log)).toEqual([]);
  });

  it('finds an acknowledged logout that is not recorded, also when a doubtful one is', () => {
    const diary = [
      act(100, 'token_auth'),
      act(200, 'logout', 'unknown'),
      act(300, 'token_auth'),
      act(400, 'logout'),
    ];
    const log = [
      event(105, 's', 'session.started'),
      event(205, 's', 'session.logged_out', CLIENT),
      event(305, 't', 'session.started'),
      event(420, 't', 'session.detached', { reason: 'closed' }),
    ];
    expect(lies(diary, log)).toEqual([expect.stringContaining('logout done')]);
  });

  it('finds an acknowledged logout that is recorded of another session', () => {
    const diary = [
      act(100, 'token_auth'),
      act(300, 'token_auth', 'unknown'),
      act(400, 'token_auth'),
      act(500, 'logout'),
    ];
    const log = [
      event(105, 's', 'session.started'),
      event(305, 't', 'session.started'),
      event(405, 'u', 'session.started'),
      event(505, 't', 'session.logged_out', CLIENT),
    ];
    expect(lies(diary, log)).toHaveLength(2); // one is missing, one has no cause
  });

  it.each([
    ['a logout', event(205, 's', 'session.logged_out', CLIENT)],
    ['a name', event(205, 's', 'session.renamed', { chosen: true })],
    ['a second session', event(205, 't', 'session.started')],
    ['a token', event(205, 'a', 'token.issued', { token: 'x' })],
    ['an early expiry', event(205, 's', 'session.expired')],
    ['an end by a session that is not there', event(205, 's', 'session.replaced', { successor: 't' })],
    ['a lost node', event(205, 's', 'session.detached', { reason: 'node_lost' })],
    ['a drained node', event(205, 's', 'session.detached', { reason: 'drained' })],
    ['an operator', event(205, 's', 'session.logged_out', { by: 'operator' })],
    ['a place in line', event(205, 's', 'queue.joined')],
    ['a revoked token', event(205, 'a', 'token.revoked', { reason: 'limit' })],
  ])('finds %s without a cause', (_, stray) => {
    const log = [event(105, 's', 'session.started'), stray];
    expect(lies([act(100, 'token_auth')], log)).toEqual([expect.stringContaining('has no cause')]);
  });

  it('finds more ends of connections than there were connections', () => {
    const diary = [act(100, 'token_auth')];
    const log = [
      event(105, 's', 'session.started'),
      event(205, 's', 'session.detached', { reason: 'closed' }),
    ];
    expect(lies(diary, log)).toEqual([]);
    expect(lies(diary, log, {}, 0)).toEqual([expect.stringContaining('only 0 connections')]);
  });

  it('finds a logout that was promised and never came, unless the session was resumed before, or the promise may die', () => {
    const diary = [act(100, 'token_auth'), act(200, 'logout', 'later')];
    const log = [event(105, 's', 'session.started')];
    expect(lies(diary, log)).toEqual([expect.stringContaining('never was')]);
    expect(lies(diary, log, { promisesDie: true })).toEqual([]);
    expect(lies(diary, [...log, event(9000, 's', 'session.logged_out', CLIENT)])).toEqual([]);
    const resumed = [
      event(300, 's', 'session.detached', { reason: 'closed' }),
      event(405, 's', 'session.resumed'),
    ];
    expect(lies([...diary, act(400, 'token_auth')], [...log, ...resumed])).toEqual([]);
  });

  it('lets what is not answered be recorded or not, unless all must be answered', () => {
    const diary = [act(100, 'token_auth'), act(200, 'logout', 'unknown')];
    const started = event(105, 's', 'session.started');
    const both = [[started], [started, event(205, 's', 'session.logged_out', CLIENT)]];
    for (const log of both) expect(lies(diary, log)).toEqual([]);
    expect(lies(diary, both[1]!, { isExact: true })).toHaveLength(1);
    const unanswered = { ...diary[1]!, endedAt: 8200 };
    expect(lies([diary[0]!, unanswered], both[0]!, { isExact: true })).toEqual([
      expect.stringContaining('not answered'),
    ]);
  });

  it('excuses what a loss of power may take', () => {
    const diary = [act(100, 'token_auth'), act(200, 'logout')];
    const log = [event(105, 's', 'session.started')];
    expect(lies(diary, log, { isExcused: (_, to) => to > 150 })).toEqual([]);
    expect(lies(diary, log, { isExcused: (_, to) => to > 300 })).toHaveLength(1);
  });

  it('takes for right what a node does about a session that a loss of power has taken', () => {
    const isExcused = (_: number, to: number) => to > 190 && to < 300;
    const diary = [act(100, 'token_auth'), act(200, 'token_auth')];
    const left = [
      event(105, 's', 'session.started'),
      event(150, 's', 'session.detached', { reason: 'closed' }),
    ];
    // it takes it back
    const again = [...left, event(900, 's', 'session.resumed')];
    expect(lies(diary, again, { isExcused })).toEqual([]);
    expect(lies(diary.slice(0, 1), again, { isExcused })).toHaveLength(1);
    expect(lies(diary, [...again, event(950, 's', 'session.resumed')], { isExcused })).toHaveLength(1);
    // it has ended another one for it
    const replaced = [left[0]!, event(900, 's', 'session.replaced', { successor: 't' })];
    expect(lies(diary, replaced, { isExcused })).toEqual([]);
    expect(lies(diary.slice(0, 1), replaced, { isExcused })).toHaveLength(1);
  });
});
