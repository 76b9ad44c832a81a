import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashToken } from '../../src/store/ids.js';
import { type Backend, FORMS } from '../support/backends.js';
import { connect, type TestClient } from '../support/client.js';
import { login, register, tokenAuth, tokenOf } from '../support/conversation.js';
import {
  AUTH_REQUIRED,
  authError,
  authSuccess,
  expectWellFormed,
  UNKNOWN_TYPE,
} from '../support/expected.js';
import { expectSound, Fleet, PASSWORD, storyOf } from '../support/fleet.js';
import type { NodeProcess } from '../support/processes.js';

const NOBODYS_TOKEN = '550e8400-e29b-41d4-a716-446655440000';
const BAD_FORMAT = authError('Invalid login format');
const BAD_CREDENTIALS = authError('Invalid username or password');
const BAD_TOKEN_FORMAT = authError('Invalid token format');
const BAD_TOKEN = authError('Invalid or expired token');

/** Payloads of `login`, `undefined` for none, and what they are answered with. */
const LOGINS = [
  [undefined, BAD_FORMAT],
  [null, BAD_FORMAT],
  ['jane.doe', BAD_FORMAT],
  [7, BAD_FORMAT],
  [['jane.doe', PASSWORD], BAD_FORMAT],
  [{}, BAD_FORMAT],
  [{ username: 'jane.doe' }, BAD_FORMAT],
  [{ password: PASSWORD }, BAD_FORMAT],
  [{ username: null, password: PASSWORD }, BAD_FORMAT],
  [{ username: 'jane.doe', password: 1234567 }, BAD_FORMAT],
  [{ username: ['jane.doe'], password: PASSWORD }, BAD_FORMAT],
  [{ username: 'ja', password: PASSWORD }, BAD_FORMAT],
  [{ username: 'jane.doe', password: '12345' }, BAD_FORMAT],
  [{ username: '😀😀', password: PASSWORD }, BAD_FORMAT],
  [{ username: 'jane.doe', password: '😀😀😀' }, BAD_FORMAT],
  [{ username: '😀😀😀', password: '😀😀😀😀😀😀' }, BAD_CREDENTIALS],
  [{ username: 'nobody', password: PASSWORD }, BAD_CREDENTIALS],
  [{ username: 'jane.doe', password: 'wrong password' }, BAD_CREDENTIALS],
  [{ username: 'jane.doe', password: `${PASSWORD} ` }, BAD_CREDENTIALS],
  [{ username: 'jane.doe', password: PASSWORD.toUpperCase() }, BAD_CREDENTIALS],
  [{ username: 'jane.doe', password: 'x'.repeat(10_000) }, BAD_CREDENTIALS],
  [{ username: 'Jane.Doe', password: PASSWORD }, BAD_CREDENTIALS],
  [{ username: ' jane.doe', password: PASSWORD }, BAD_CREDENTIALS],
  [{ username: 'n'.repeat(10_000), password: PASSWORD }, BAD_CREDENTIALS],
  [{ username: '__proto__', password: PASSWORD }, BAD_CREDENTIALS],
  [{ username: '****', password: PASSWORD }, BAD_CREDENTIALS],
] as const;

/** The same for `token_auth`. */
const TOKENS = [
  [undefined, BAD_TOKEN_FORMAT],
  [null, BAD_TOKEN_FORMAT],
  [NOBODYS_TOKEN, BAD_TOKEN_FORMAT],
  [{}, BAD_TOKEN_FORMAT],
  [{ token: null }, BAD_TOKEN_FORMAT],
  [{ token: 7 }, BAD_TOKEN_FORMAT],
  [{ token: '' }, BAD_TOKEN_FORMAT],
  [{ token: 'not a token' }, BAD_TOKEN_FORMAT],
  [{ token: NOBODYS_TOKEN.replaceAll('-', '') }, BAD_TOKEN_FORMAT],
  [{ token: `{${NOBODYS_TOKEN}}` }, BAD_TOKEN_FORMAT],
  [{ token: `${NOBODYS_TOKEN}\n` }, BAD_TOKEN_FORMAT],
  [{ token: NOBODYS_TOKEN.replace('5', 'g') }, BAD_TOKEN_FORMAT],
  [{ token: NOBODYS_TOKEN, resume: 'yes' }, BAD_TOKEN_FORMAT],
  [{ token: NOBODYS_TOKEN }, BAD_TOKEN],
  [{ token: NOBODYS_TOKEN.toUpperCase() }, BAD_TOKEN],
  [{ token: NOBODYS_TOKEN, resume: true }, BAD_TOKEN],
  [{ token: '00000000-0000-0000-0000-000000000000' }, BAD_TOKEN],
  [{ token: 'ffffffff-ffff-ffff-ffff-ffffffffffff' }, BAD_TOKEN],
] as const;

describe.each(FORMS)('authentication, with $name,', ({ start }) => {
  let backend: Backend;
  let fleet: Fleet;
  let node: NodeProcess;

  beforeAll(async () => {
    backend = await start();
    fleet = new Fleet({ ...backend.env, TOKENS_PER_ACCOUNT: '2' }, backend.client());
    node = await fleet.serve();
    const client = await connect(node.wsUrl);
    await register(client, 'jane.doe', PASSWORD);
    await client.close();
  });

  afterAll(async () => {
    await fleet?.stop();
    await backend?.stop();
  });

  const open = () => connect(node.wsUrl);
  let users = 0;

  /** Registers a new account; gives a client that is authenticated as it. */
  async function authenticated(): Promise<{ client: TestClient; username: string; token: string }> {
    const client = await open();
    users += 1;
    const username = `user-${users}`;
    return { client, username, token: tokenOf(await register(client, username, PASSWORD)) };
  }

  async function storiesOf(token: string): Promise<string[]> {
    return (await fleet.sessionsOf(token)).map(storyOf);
  }

  it('refuses a login by a text that says why, and begins no session', async () => {
    const client = await open();
    for (const [payload, answer] of LOGINS) {
      expect(await client.request({ type: 'login', payload }), JSON.stringify(payload)).toEqual(answer);
      expect(await client.request({ type: 'logout' })).toEqual(AUTH_REQUIRED);
    }
    expectWellFormed(client);
  });

  it('refuses a token by a text that says why, and begins no session', async () => {
    const client = await open();
    for (const [payload, answer] of TOKENS) {
      expect(await client.request({ type: 'token_auth', payload }), JSON.stringify(payload)).toEqual(answer);
      expect(await client.request({ type: 'logout' })).toEqual(AUTH_REQUIRED);
    }
    expectWellFormed(client);
  });

  it('leaves the session as it is when another login fails, in whatever way', async () => {
    const { client, token } = await authenticated();
    const failing = [
      ...LOGINS.map(([payload]) => ({ type: 'login', payload })),
      ...TOKENS.map(([payload]) => ({ type: 'token_auth', payload })),
      { type: 'register', payload: { username: 'jane.doe', password: PASSWORD } },
      { type: 'register', payload: { username: 'ja', password: PASSWORD } },
      { type: 'register' },
    ];
    for (const request of failing) {
      expect((await client.request(request)).type).toMatch(/^(auth_)?error$/);
      expect(await client.request({ type: 'no such type' })).toEqual(UNKNOWN_TYPE);
    }
    expect(await storiesOf(token)).toEqual(['started']);
  });

  it.each(['register', 'login', 'token_auth'])('replaces the session by a good %s', async (type) => {
    const { client, token } = await authenticated();
    const other = await authenticated();
    const payload = {
      register: { username: `new-${other.username}`, password: PASSWORD },
      login: { username: other.username, password: PASSWORD },
      token_auth: { token: other.token },
    }[type];
    const successor = tokenOf(await client.request({ type, payload }));
    expect(await client.request({ type: 'no such type' })).toEqual(UNKNOWN_TYPE);
    const [[, replaced] = []] = await fleet.sessionsOf(token);
    expect(replaced).toMatchObject({ type: 'session.replaced' });
    const begun = (await fleet.sessionsOf(successor)).map(([first]) => first!.subject);
    expect(begun).toContain(replaced!.data.successor);
    expect(await storiesOf(token)).toEqual(['started replaced']);
  });

  it('replaces the session by one with the same token, which is another', async () => {
    const { client, username, token } = await authenticated();
    expect(await tokenAuth(client, token)).toEqual(authSuccess(username, token));
    expect(await tokenAuth(client, token, true)).toEqual(authSuccess(username, token));
    expect(await storiesOf(token)).toEqual(['started replaced', 'started replaced', 'started']);
  });

  it('takes a token in any letter case and answers with it as it was sent', async () => {
    const { client, username, token } = await authenticated();
    for (const sent of [token.toUpperCase(), token.replace(/[a-f]/, (letter) => letter.toUpperCase())]) {
      expect(await tokenAuth(client, sent)).toEqual(authSuccess(username, sent));
    }
  });

  it('issues a token with each login, and revokes the oldest beyond TOKENS_PER_ACCOUNT', async () => {
    const { client, username, token } = await authenticated();
    const second = tokenOf(await login(client, username, PASSWORD));
    expect(await tokenAuth(client, token)).toEqual(authSuccess(username, token));
    const third = tokenOf(await login(client, username, PASSWORD));
    expect(new Set([token, second, third]).size).toBe(3);
    expect(await tokenAuth(client, token)).toEqual(BAD_TOKEN);
    expect(await tokenAuth(client, second)).toEqual(authSuccess(username, second));
    expect(await tokenAuth(client, third)).toEqual(authSuccess(username, third));
    const revoked = (await fleet.log()).filter(({ type }) => type === 'token.revoked');
    const ofToken = revoked.filter(({ data }) => data.token === hashToken(token));
    expect(ofToken.map(({ data }) => data.reason)).toEqual(['limit']);
  });

  it('takes as long for a user that does not exist', async () => {
    const { username } = await authenticated();
    const client = await open();
    const times: Record<string, number[]> = { [username]: [], nobody: [] };
    for (let round = 0; round < 15; round += 1) {
      for (const [name, taken] of Object.entries(times)) {
        const startedAt = performance.now();
        expect(await login(client, name, 'wrong password')).toEqual(BAD_CREDENTIALS);
        taken.push(performance.now() - startedAt);
      }
    }
    const ratio = median(times[username]!) / median(times.nobody!);
    expect(ratio).toBeGreaterThan(1 / 3);
    expect(ratio).toBeLessThan(3);
  });

  it('has a log in which everything happened once', async () => {
    expectSound(await fleet.log());
  });
});

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
