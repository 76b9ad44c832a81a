import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Backend, FORMS } from '../support/backends.js';
import { connect, type TestClient } from '../support/client.js';
import { login, logout, tokenAuth, tokenOf } from '../support/conversation.js';
import {
  AUTH_REQUIRED,
  authSuccess,
  expectWellFormed,
  LOGGED_OUT,
  SOON,
  UNKNOWN_TYPE,
} from '../support/expected.js';
import { type Account, expectSound, Fleet, PASSWORD, storyOf } from '../support/fleet.js';
import { encodeFrame, Opcode } from '../support/frames.js';
import type { NodeProcess } from '../support/processes.js';

const LOGOUT = { type: 'logout' };
const LOGGED_OUT_TEXT = '{"type":"logged_out"}';
const AUTH_REQUIRED_TEXT =
  '{"type":"error","payload":{"message":"Authentication required","code":"AUTH_REQUIRED"}}';

describe.each(FORMS)('logout, with $name,', ({ start }) => {
  let backend: Backend;
  let fleet: Fleet;
  let nodes: NodeProcess[];
  let accounts: Account[];
  const clients: TestClient[] = [];

  beforeAll(async () => {
    backend = await start();
    fleet = new Fleet({ ...backend.env }, backend.client());
    nodes = await Promise.all([fleet.serve(), fleet.serve()]);
    accounts = await fleet.seed(60);
  });

  afterEach(async () => {
    const open = clients.splice(0);
    for (const client of open) expectWellFormed(client);
    await Promise.all(open.map((client) => client.close()));
  });

  afterAll(async () => {
    await fleet?.stop();
    await backend?.stop();
  });

  async function open(node = 0): Promise<TestClient> {
    const client = await connect(nodes[node]!.wsUrl);
    clients.push(client);
    return client;
  }

  async function authenticated({ username, token }: Account, node = 0): Promise<TestClient> {
    const client = await open(node);
    expect(await tokenAuth(client, token)).toEqual(authSuccess(username, token));
    return client;
  }

  /** The sessions of a token as the log tells them. */
  async function storiesOf({ token }: Account): Promise<string[]> {
    return (await fleet.sessionsOf(token)).map(storyOf);
  }

  it('is what the page of the manual shows, both ways', async () => {
    const client = await authenticated(accounts.pop()!);
    for (const [sent, received] of [
      ['{"type":"logout"}', LOGGED_OUT_TEXT],
      ['{"type":"logout"}', AUTH_REQUIRED_TEXT],
      ['{\n  "type": "logout"\n}\n', AUTH_REQUIRED_TEXT],
    ] as const) {
      client.sendText(sent);
      await client.next();
      expect(client.rawFrames.at(-1)).toBe(received);
    }
    expect(client.rawFrames).toHaveLength(4);
  });

  it('is answered with AUTH_REQUIRED on a connection that never authenticated', async () => {
    const client = await open();
    client.sendText('{"type":"logout","payload":null}');
    await client.next();
    expect(client.rawFrames).toEqual([AUTH_REQUIRED_TEXT]);
  });

  it('ignores its payload, whatever that is', async () => {
    const one = accounts.pop()!;
    const client = await authenticated(one);
    const deep = `${'['.repeat(5000)}${']'.repeat(5000)}`;
    const payloads = ['null', '""', '"bye"', '0', '-1.5e300', 'true', 'false', '[]', '[1,[2]]', '{}'];
    payloads.push('{"token":1,"username":null}', '{"__proto__":{"type":"login"}}', deep);
    for (const payload of payloads) {
      client.sendText(`{"type":"logout","payload":${payload}}`);
      expect(await client.next()).toEqual(LOGGED_OUT);
      client.sendText(`{"payload":${payload},"type":"logout"}`);
      expect(await client.next()).toEqual(AUTH_REQUIRED);
      expect(await tokenAuth(client, one.token)).toEqual(authSuccess(one.username, one.token));
    }
    expect(await storiesOf(one)).toEqual([...payloads.map(() => 'started logged_out'), 'started']);
  });

  it('leaves nothing for a second logout in the same write', async () => {
    const one = accounts.pop()!;
    const client = await authenticated(one);
    client.sendTogether([LOGOUT, LOGOUT]);
    expect([await client.next(), await client.next()]).toEqual([LOGGED_OUT, AUTH_REQUIRED]);
    expect(await storiesOf(one)).toEqual(['started logged_out']);
  });

  it.each([2, 200])('is answered in order, token_auth and logout %i times in one write', async (times) => {
    const one = accounts.pop()!;
    const client = await open();
    const request = { type: 'token_auth', payload: { token: one.token } };
    client.sendTogether(Array.from({ length: times }, () => [request, LOGOUT]).flat());
    for (let i = 0; i < times; i += 1) {
      expect(await client.next()).toEqual(authSuccess(one.username, one.token));
      expect(await client.next()).toEqual(LOGGED_OUT);
    }
    expect(await storiesOf(one)).toEqual(Array(times).fill('started logged_out'));
  });

  it('keeps its place behind a login whose password takes time, with 50 messages behind it', async () => {
    const one = accounts.pop()!;
    const client = await open();
    const token_auth = { type: 'token_auth', payload: { token: one.token } };
    const unknown = { type: 'no such type' };
    const round = [unknown, LOGOUT, unknown, LOGOUT, token_auth];
    const answers = [
      UNKNOWN_TYPE,
      LOGGED_OUT,
      AUTH_REQUIRED,
      AUTH_REQUIRED,
      authSuccess(one.username, one.token),
    ];
    client.sendTogether([
      { type: 'login', payload: { username: one.username, password: PASSWORD } },
      ...Array.from({ length: 10 }, () => round).flat(),
    ]);
    const first = await client.next();
    const token = tokenOf(first);
    expect(first).toEqual(authSuccess(one.username, token));
    for (const answer of Array.from({ length: 10 }, () => answers).flat()) {
      expect(await client.next()).toEqual(answer);
    }
    expect(await storiesOf({ ...one, token })).toEqual(['started logged_out']);
    expect(await storiesOf(one)).toEqual([...Array(9).fill('started logged_out'), 'started']);
  });

  it('leaves the token valid, on this node and on others', async () => {
    const { username } = accounts.pop()!;
    const client = await open();
    const token = tokenOf(await login(client, username, PASSWORD));
    expect(await logout(client)).toEqual(LOGGED_OUT);
    expect(await tokenAuth(client, token)).toEqual(authSuccess(username, token));
    expect(await logout(client)).toEqual(LOGGED_OUT);
    for (const node of [1, 0]) {
      expect(await logout(await authenticated({ username, token }, node))).toEqual(LOGGED_OUT);
    }
    expect(await storiesOf({ username, token })).toEqual(Array(4).fill('started logged_out'));
  });

  it('leaves the connection open for another login', async () => {
    const [one, other] = [accounts.pop()!, accounts.pop()!];
    const client = await authenticated(one);
    expect(await logout(client)).toEqual(LOGGED_OUT);
    expect(await login(client, other.username, PASSWORD)).toMatchObject({
      type: 'auth_success',
      payload: { username: other.username },
    });
    expect(await logout(client)).toEqual(LOGGED_OUT);
    expect(client.ws.readyState).toBe(client.ws.OPEN);
  });

  it('leaves other sessions of the user alone', async () => {
    const one = accounts.pop()!;
    const [client, here, there] = [
      await authenticated(one),
      await authenticated(one),
      await authenticated(one, 1),
    ];
    expect(await logout(client)).toEqual(LOGGED_OUT);
    for (const other of [here, there]) {
      expect(await other.request({ type: 'no such type' })).toEqual(UNKNOWN_TYPE);
      expect(other.received).toHaveLength(2);
    }
    expect(await storiesOf(one)).toEqual(['started logged_out', 'started', 'started']);
  });

  const CLOSE_FRAME = encodeFrame(Buffer.from([0x03, 0xe8]), { opcode: Opcode.close });
  const FRAMES = (...messages: object[]) => messages.map((message) => encodeFrame(JSON.stringify(message)));

  it.each([
    ['a close frame in the same write', [LOGOUT], (bytes: Buffer) => Buffer.concat([bytes, CLOSE_FRAME])],
    ['the end of the TCP connection', [LOGOUT], (bytes: Buffer) => bytes],
    ['messages that need no wait', [{ type: 'x' }, LOGOUT, { type: 'x' }], (bytes: Buffer) => bytes],
  ])('counts right before %s', async (_, messages, finish) => {
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        const one = accounts.pop()!;
        const client = await connect(nodes[0]!.wsUrl);
        await tokenAuth(client, one.token);
        client.writeRaw(finish(Buffer.concat(FRAMES(...messages))));
        client.destroy('fin');
        await expect.poll(() => storiesOf(one), SOON).toEqual(['started logged_out']);
      }),
    );
  });

  it('counts behind a token_auth that the client did not wait for, when it closes at once', async () => {
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        const one = accounts.pop()!;
        const client = await connect(nodes[0]!.wsUrl);
        client.sendTogether([{ type: 'token_auth', payload: { token: one.token } }, LOGOUT]);
        client.destroy('fin');
        await expect.poll(() => storiesOf(one), SOON).toEqual(['started logged_out']);
      }),
    );
  });

  it('is in the log once for each, by the client, and nothing else ended a session', async () => {
    const log = await fleet.log();
    expectSound(log);
    const logouts = log.filter(({ type }) => type === 'session.logged_out');
    expect(new Set(logouts.map(({ subject }) => subject)).size).toBe(logouts.length);
    for (const { data } of logouts) expect(data).toEqual({ by: 'client' });
    expect(log.filter(({ type }) => /replaced|expired|resumed/.test(type))).toEqual([]);
  });
});
