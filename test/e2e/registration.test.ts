import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Backend, FORMS } from '../support/backends.js';
import { connect, type TestClient } from '../support/client.js';
import { login, logout, register, tokenAuth, tokenOf } from '../support/conversation.js';
import {
  AUTH_REQUIRED,
  authSuccess,
  expectWellFormed,
  LOGGED_OUT,
  registrationError,
  UNKNOWN_TYPE,
} from '../support/expected.js';
import { expectSound, Fleet, storyOf } from '../support/fleet.js';
import type { NodeProcess } from '../support/processes.js';

const PASSWORD = 'secret1';
const FORMAT = 'Invalid registration format';
const USERNAME_SHORT = 'Username must be at least 3 characters';
const PASSWORD_SHORT = 'Password must be at least 6 characters';
const USERNAME_LONG = 'Username must be at most 50 characters';
const USERNAME_INVISIBLE = 'Username must not contain control or invisible characters';
const PASSWORD_LONG = 'Password must be at most 128 characters';
const EMAIL = 'Email must be a valid address';
const TAKEN = 'Username already exists';
const EMAIL_TAKEN = 'Email already registered';

/** Payloads that have several faults each: the first in the order of the protocol is told. */
const REFUSED = [
  [undefined, FORMAT],
  [null, FORMAT],
  ['taken', FORMAT],
  [[], FORMAT],
  [{}, FORMAT],
  [{ username: 'ab' }, FORMAT],
  [{ password: 'short' }, FORMAT],
  [{ username: 'ab', password: 1 }, FORMAT],
  [{ username: null, password: 'short' }, FORMAT],
  [{ username: 'ab', password: 'short', email: 7 }, FORMAT],
  [{ username: '', password: '' }, USERNAME_SHORT],
  [{ username: 'ab', password: 'short', email: 'x' }, USERNAME_SHORT],
  [{ username: '😀😀', password: PASSWORD }, USERNAME_SHORT],
  [{ username: 'e\u0301a', password: PASSWORD }, USERNAME_SHORT], // two characters after NFC
  [{ username: 'a\u0958', password: PASSWORD }, USERNAME_SHORT], // three after NFC, two as `login` would see it
  [{ username: '\u200b'.repeat(60), password: 'short', email: 'x' }, PASSWORD_SHORT],
  [{ username: 'taken', password: 'short' }, PASSWORD_SHORT],
  [{ username: 'taken', password: '😀😀😀' }, PASSWORD_SHORT],
  [{ username: '\u200b'.repeat(51), password: 'x'.repeat(129), email: 'x' }, USERNAME_LONG],
  [{ username: '😀'.repeat(51), password: PASSWORD }, USERNAME_LONG],
  [{ username: 'a\u200bb', password: 'x'.repeat(129), email: 'x' }, USERNAME_INVISIBLE],
  [{ username: 'tak\0en', password: PASSWORD }, USERNAME_INVISIBLE],
  [{ username: 'line\nbreak', password: PASSWORD }, USERNAME_INVISIBLE],
  [{ username: 'lone\ud800', password: PASSWORD }, USERNAME_INVISIBLE],
  [{ username: '   ', password: PASSWORD }, USERNAME_INVISIBLE],
  [{ username: 'fresh', password: 'x'.repeat(129), email: 'x' }, PASSWORD_LONG],
  [{ username: 'taken', password: '😀'.repeat(129) }, PASSWORD_LONG],
  [{ username: 'taken', password: PASSWORD, email: 'no address' }, EMAIL],
  [{ username: 'taken', password: PASSWORD, email: 'a@b' }, EMAIL],
  [{ username: 'taken', password: PASSWORD, email: 'taken@example.com' }, TAKEN],
  [{ username: 'taken', password: 'another password' }, TAKEN],
] as const;

describe.each(FORMS)('with $name,', ({ start }) => {
  describe.each([
    { OC_EMAIL_VALIDATION: 'true', emails: 'unique' },
    { OC_EMAIL_VALIDATION: 'false', emails: 'anything' },
  ])('registration, emails being $emails', ({ OC_EMAIL_VALIDATION, emails }) => {
    let backend: Backend;
    let fleet: Fleet;
    let nodes: NodeProcess[];
    let client: TestClient;

    beforeAll(async () => {
      backend = await start();
      fleet = new Fleet({ ...backend.env, OC_EMAIL_VALIDATION }, backend.client());
      nodes = await Promise.all([fleet.serve(), fleet.serve()]);
      client = await open();
      tokenOf(await register(client, 'taken', PASSWORD, 'Taken@Example.com'));
      await logout(client);
    });

    afterAll(async () => {
      expectWellFormed(client);
      await fleet?.stop();
      await backend?.stop();
    });

    const open = (node = 0) => connect(nodes[node]!.wsUrl);

    it('begins a session and gives a token that holds on every node', async () => {
      const username = 'John "the" Smith <👍>';
      const answer = await register(client, username, PASSWORD);
      const token = tokenOf(answer);
      expect(answer).toEqual({
        type: 'register_success',
        payload: { success: true, message: 'Registration successful', autoLogin: true, username, token },
      });
      expect(client.rawFrames.at(-1)).toBe(
        `{"type":"register_success","payload":{"success":true,"message":"Registration successful","autoLogin":true,"username":"John \\"the\\" Smith <👍>","token":"${token}"}}`,
      );
      expect(await client.request({ type: 'no such type' })).toEqual(UNKNOWN_TYPE);
      expect(await logout(client)).toEqual(LOGGED_OUT);
      const other = await open(1);
      expect(await tokenAuth(other, token)).toEqual(authSuccess(username, token));
      expect((await fleet.sessionsOf(token)).map(storyOf)).toEqual(['started logged_out', 'started']);
    });

    it('tells the first fault in the order of the protocol, and begins no session', async () => {
      for (const [payload, text] of REFUSED) {
        const answer = await client.request({ type: 'register', payload });
        expect(answer, JSON.stringify(payload)).toEqual(registrationError(text));
        expect(await logout(client)).toEqual(AUTH_REQUIRED);
      }
    });

    it('counts characters, not bytes or halves of a surrogate pair', async () => {
      for (const [username, password] of [
        ['😀😀😀', '😀😀😀😀😀😀'],
        ['😀'.repeat(50), '😀'.repeat(128)],
        ['a b', 'x'.repeat(128)],
        ['ab\u0958', PASSWORD],
      ] as const) {
        expect((await register(client, username, password)).type).toBe('register_success');
        expect((await login(client, username, password)).type).toBe('auth_success');
      }
      await logout(client);
    });

    it('takes a username in another normal form for the same', async () => {
      const [composed, decomposed] = ['zo\u00eb', 'zoe\u0308'];
      const answer = await register(client, decomposed, PASSWORD);
      const token = tokenOf(answer);
      expect(answer.payload).toMatchObject({ username: composed });
      expect(await register(client, composed, PASSWORD)).toEqual(registrationError(TAKEN));
      for (const form of [composed, decomposed]) {
        expect(await login(client, form, PASSWORD)).toMatchObject({ payload: { username: composed } });
      }
      expect(await tokenAuth(client, token)).toEqual(authSuccess(composed, token));
      await logout(client);
    });

    it('compares usernames exactly otherwise', async () => {
      for (const username of ['Taken', 'TAKEN', 'taken ', ' taken']) {
        expect((await register(client, username, PASSWORD)).type).toBe('register_success');
      }
      await logout(client);
    });

    it('lets one of many have a name when all ask at once, on several nodes', async () => {
      const clients = await Promise.all(Array.from({ length: 30 }, (_, i) => open(i % 2)));
      const answers = await Promise.all(clients.map((one) => register(one, 'wanted', PASSWORD)));
      const lucky = answers.filter(({ type }) => type === 'register_success');
      const refused = answers.filter(({ type }) => type === 'error');
      expect(lucky).toHaveLength(1);
      expect(refused).toEqual(Array(29).fill(registrationError(TAKEN)));
      expect((await fleet.sessionsOf(tokenOf(lucky[0]!))).map(storyOf)).toEqual(['started']);
      await Promise.all(clients.map((one) => one.close()));
    });

    it(`takes an address in any letter case, ${emails === 'unique' ? 'once' : 'as often as it comes'}`, async () => {
      const answerOf = async (username: string, email: string) => {
        const answer = await register(client, username, PASSWORD, email);
        return answer.type === 'register_success' ? answer.type : answer;
      };
      const second = emails === 'unique' ? registrationError(EMAIL_TAKEN) : 'register_success';
      expect(await answerOf('mail-1', 'One@example.com')).toBe('register_success');
      expect(await answerOf('mail-2', 'One@example.com')).toEqual(second);
      expect(await answerOf('mail-3', 'oNE@EXAMPLE.com')).toEqual(second);
      expect(await answerOf('mail-4', 'two@example.com')).toBe('register_success');
      expect(await answerOf('mail-5', '')).toBe('register_success');
      expect(await answerOf('mail-6', '')).toBe('register_success');
      // a name that is taken does not use up the address
      expect(await answerOf('taken', 'three@example.com')).toEqual(registrationError(TAKEN));
      expect(await answerOf('mail-7', 'three@example.com')).toBe('register_success');
      expect((await client.request({ type: 'register', payload: NO_EMAIL })).type).toBe('register_success');
      await logout(client);
    });

    it(`lets ${emails === 'unique' ? 'one' : 'all'} of many have an address when all ask at once`, async () => {
      const clients = await Promise.all(Array.from({ length: 10 }, (_, i) => open(i % 2)));
      const answers = await Promise.all(
        clients.map((one, i) => register(one, `crowd-${i}`, PASSWORD, i < 5 ? 'X@y.org' : 'x@Y.org')),
      );
      const lucky = answers.filter(({ type }) => type === 'register_success');
      expect(lucky).toHaveLength(emails === 'unique' ? 1 : 10);
      await Promise.all(clients.map((one) => one.close()));
    });

    it('has a log in which every account is registered once', async () => {
      expectSound(await fleet.log());
    });
  });
});

const NO_EMAIL = { username: 'mail-8', password: PASSWORD, email: null };
