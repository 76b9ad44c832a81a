import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type AccountCommand,
  decideAccount,
  evolveAccount,
  initialAccount,
} from '../../../src/account/account.js';
import type { AccountEvent } from '../../../src/account/events.js';

const registered: AccountEvent = { type: 'account.registered', data: {} };
const issued = (token: string, expiresAt: number): AccountEvent => ({
  type: 'token.issued',
  data: { token, expiresAt },
});
const revoked = (token: string, reason: 'expired' | 'limit' | 'account'): AccountEvent => ({
  type: 'token.revoked',
  data: { token, reason },
});
const issue = (token: string, change: object = {}): AccountCommand => ({
  type: 'issueToken',
  token,
  expiresAt: 1000,
  limit: 3,
  now: 0,
  ...change,
});

const stateAfter = (...events: AccountEvent[]) => events.reduce(evolveAccount, initialAccount);

describe('an account', () => {
  it('is registered once, before anything else', () => {
    expect(decideAccount({ type: 'register' }, initialAccount)).toEqual([registered]);
    expect(() => decideAccount({ type: 'register' }, stateAfter(registered))).toThrow();
    expect(() => decideAccount(issue('t'), initialAccount)).toThrow();
    expect(() => evolveAccount(initialAccount, issued('t', 1))).toThrow();
    expect(() => evolveAccount(stateAfter(registered), registered)).toThrow();
  });

  it('gets tokens, in order', () => {
    const state = stateAfter(registered, issued('t1', 1000));
    expect(decideAccount(issue('t2'), state)).toEqual([issued('t2', 1000)]);
    expect(stateAfter(registered, issued('t1', 1000), issued('t2', 2000))).toEqual({
      status: 'registered',
      tokens: [
        { token: 't1', expiresAt: 1000 },
        { token: 't2', expiresAt: 2000 },
      ],
    });
  });

  it('loses its oldest token when it has too many', () => {
    const full = stateAfter(registered, issued('t1', 1000), issued('t2', 1000), issued('t3', 1000));
    expect(decideAccount(issue('t4'), full)).toEqual([revoked('t1', 'limit'), issued('t4', 1000)]);
    expect(decideAccount(issue('t4', { limit: 1 }), full)).toEqual([
      revoked('t1', 'limit'),
      revoked('t2', 'limit'),
      revoked('t3', 'limit'),
      issued('t4', 1000),
    ]);
    expect(decideAccount(issue('t4', { limit: 0 }), full)).toEqual([issued('t4', 1000)]);
  });

  it('loses tokens that have ended, and those first', () => {
    const state = stateAfter(registered, issued('t1', 1000), issued('t2', 500), issued('t3', 1000));
    expect(decideAccount(issue('t4', { now: 500 }), state)).toEqual([
      revoked('t2', 'expired'),
      issued('t4', 1000),
    ]);
  });

  it('is disabled: it loses its tokens, and gets none until it is enabled', () => {
    const state = stateAfter(registered, issued('t1', 1000));
    const events = decideAccount({ type: 'disable', actor: 'ops' }, state);
    expect(events).toEqual([
      { type: 'token.revoked', data: { token: 't1', reason: 'operator', actor: 'ops' } },
      { type: 'account.disabled', data: { actor: 'ops' } },
    ]);
    const disabled = events.reduce(evolveAccount, state);
    expect(disabled).toEqual({ status: 'disabled' });
    expect(decideAccount({ type: 'disable', actor: 'ops' }, disabled)).toEqual([]);
    expect(decideAccount({ type: 'revokeTokens', reason: 'account' }, disabled)).toEqual([]);
    expect(() => decideAccount(issue('t2'), disabled)).toThrow();
    expect(() => evolveAccount(disabled, issued('t2', 1))).toThrow();
    expect(() => evolveAccount(state, { type: 'account.disabled', data: { actor: 'ops' } })).toThrow();

    const enabled = decideAccount({ type: 'enable', actor: 'ops' }, disabled);
    expect(enabled).toEqual([{ type: 'account.enabled', data: { actor: 'ops' } }]);
    expect(enabled.reduce(evolveAccount, disabled)).toEqual({ status: 'registered', tokens: [] });
    expect(decideAccount({ type: 'enable', actor: 'ops' }, state)).toEqual([]);
    expect(() => evolveAccount(state, enabled[0]!)).toThrow();
  });

  it('loses all tokens at once', () => {
    const state = stateAfter(registered, issued('t1', 1000), issued('t2', 1000));
    const events = decideAccount({ type: 'revokeTokens', reason: 'account' }, state);
    expect(events).toEqual([revoked('t1', 'account'), revoked('t2', 'account')]);
    expect(events.reduce(evolveAccount, state)).toEqual({ status: 'registered', tokens: [] });
    expect(decideAccount({ type: 'revokeTokens', reason: 'account' }, stateAfter(registered))).toEqual([]);
    expect(decideAccount({ type: 'revokeTokens', reason: 'operator', actor: 'ops' }, state)[0]?.data).toEqual(
      { token: 't1', reason: 'operator', actor: 'ops' },
    );
  });

  it('never has more tokens than allowed, none twice, and none that has ended when one is issued', () => {
    const steps = fc.array(fc.record({ ttl: fc.integer({ min: 1, max: 50 }), pause: fc.nat(20) }), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 5 }), (sequence, limit) => {
        let state = stateAfter(registered);
        let now = 0;
        for (const [i, { ttl, pause }] of sequence.entries()) {
          now += pause;
          const command = issue(`t${i}`, { now, limit, expiresAt: now + ttl });
          state = decideAccount(command, state).reduce(evolveAccount, state);
          if (state.status !== 'registered') throw new Error('it is registered');
          expect(state.tokens.length).toBeLessThanOrEqual(limit);
          expect(new Set(state.tokens.map(({ token }) => token)).size).toBe(state.tokens.length);
          expect(state.tokens.every(({ expiresAt }) => expiresAt > now)).toBe(true);
          expect(state.tokens.at(-1)?.token).toBe(`t${i}`);
        }
      }),
    );
  });
});
