import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type Message, type TestClient } from '../support/client.js';
import type { Environment } from '../support/cliProcess.js';
import { logout, tokenAuth } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import {
  AUTH_REQUIRED,
  authError,
  authSuccess,
  expectWellFormed,
  INVALID_MESSAGE,
  LOGGED_OUT,
  RATE_LIMITED,
  SOON,
  UNKNOWN_TYPE,
} from '../support/expected.js';
import { type Account, Fleet, PASSWORD, storyOf } from '../support/fleet.js';
import { encodeFrame, Opcode } from '../support/frames.js';
import { connectRaw } from '../support/rawClient.js';
import { type RedisServer, startRedis } from '../support/redis.js';

const TOO_MANY = { code: 1008, reason: 'Too many messages' };
const TOO_BIG = { code: 1009, reason: 'Message too big' };

describe('limits of messages', () => {
  let redis: RedisServer;
  let fleet: Fleet;
  let accounts: Account[];

  beforeAll(async () => {
    redis = await startRedis();
    fleet = new Fleet({ REDIS_URL: redis.url }, redis.client());
    accounts = await fleet.seed(20);
  });

  afterAll(async () => {
    await fleet?.stop();
    await redis?.stop();
  });

  async function urlOf(env: Environment): Promise<string> {
    return (await fleet.serve(env)).wsUrl;
  }

  async function authenticate(client: TestClient): Promise<Account> {
    const one = accounts.pop()!;
    expect(await tokenAuth(client, one.token)).toEqual(authSuccess(one.username, one.token));
    return one;
  }

  async function storiesOf({ token }: Account): Promise<string[]> {
    return (await fleet.sessionsOf(token)).map(storyOf);
  }

  async function take(client: TestClient, count: number): Promise<Message[]> {
    const messages: Message[] = [];
    while (messages.length < count) messages.push(await client.next());
    return messages;
  }

  it('closes with 1009 beyond MAX_MESSAGE_BYTES, whatever kind of frame, and takes what is exactly as long', async () => {
    const url = await urlOf({ MAX_MESSAGE_BYTES: '1024' });
    const message = (bytes: number) => `{"type":"logout","payload":"${'x'.repeat(bytes - 30)}"}`;
    expect(message(1024)).toHaveLength(1024);
    for (const bytes of [1025, 1500, 10_240, 16_384]) {
      for (const isBinary of [false, true]) {
        const client = await connect(url);
        const one = await authenticate(client);
        client.ws.send(message(1024), { binary: isBinary });
        expect(await client.next()).toEqual(LOGGED_OUT);
        expect(await tokenAuth(client, one.token)).toEqual(authSuccess(one.username, one.token));
        client.ws.send(message(bytes), { binary: isBinary });
        client.send({ type: 'logout' });
        expect(await client.closed).toEqual(TOO_BIG);
        expect(client.received).toHaveLength(3);
        await expect
          .poll(() => storiesOf(one), SOON)
          .toEqual(['started logged_out', 'started detached:closed']);
      }
    }
  });

  it('counts the bytes of a fragmented message together', async () => {
    const url = await urlOf({ MAX_MESSAGE_BYTES: '1024' });
    const piece = 'x'.repeat(400);
    for (const [pieces, code] of [
      [2, undefined],
      [3, 1009],
    ]) {
      const raw = await connectRaw(url);
      for (let i = 1; i <= pieces!; i += 1) {
        const opcode = i === 1 ? Opcode.text : Opcode.continuation;
        raw.write(encodeFrame(piece, { opcode, fin: i === pieces }));
      }
      if (code) expect((await raw.closed).code).toBe(code);
      else expect(JSON.parse((await raw.next()).payload.toString())).toEqual(INVALID_MESSAGE);
      raw.destroy();
    }
  });

  it('answers RATE_LIMITED in its place, and closes the connection of a client that goes on', async () => {
    const client = await connect(await urlOf({ MESSAGE_RATE: '1', MESSAGE_BURST: '5' }));
    client.sendTogether(Array(20).fill({ type: 'logout' }));
    expect(await client.closed).toEqual(TOO_MANY);
    expect(client.received).toEqual([...Array(5).fill(AUTH_REQUIRED), ...Array(5).fill(RATE_LIMITED)]);
    expectWellFormed(client);
  });

  it('keeps RATE_LIMITED behind an answer that takes time, and the session', async () => {
    const client = await connect(await urlOf({ MESSAGE_RATE: '4', MESSAGE_BURST: '3' }));
    const { username } = accounts[0]!;
    client.sendTogether([
      { type: 'login', payload: { username, password: PASSWORD } },
      { type: 'x' },
      { type: 'x' },
      { type: 'logout' },
      { type: 'logout' },
    ]);
    const [first, ...rest] = await take(client, 5);
    expect(first).toMatchObject({ type: 'auth_success' });
    expect(rest).toEqual([UNKNOWN_TYPE, UNKNOWN_TYPE, RATE_LIMITED, RATE_LIMITED]);
    // the rate comes back with time
    await eventually(async () => (await logout(client)).type === 'logged_out', { intervalMs: 400 });
  });

  it('forgives a client that slows down', async () => {
    const client = await connect(await urlOf({ MESSAGE_RATE: '40', MESSAGE_BURST: '10' }));
    for (let round = 0; round < 3; round += 1) {
      client.sendTogether(Array(14).fill({ type: 'x' }));
      const answers = await take(client, 14);
      expect(answers.slice(0, 9)).toEqual(Array(9).fill(AUTH_REQUIRED));
      expect(answers).toContainEqual(RATE_LIMITED);
      let inTime = 0;
      const slowly = async () => {
        const answer = await client.request({ type: 'x' });
        inTime = JSON.stringify(answer) === JSON.stringify(AUTH_REQUIRED) ? inTime + 1 : 0;
        return inTime >= 8;
      };
      await eventually(slowly, { intervalMs: 120 });
    }
    expect(client.ws.readyState).toBe(client.ws.OPEN);
  });

  it.each([
    ['number', { MAILBOX_MESSAGES: '20' }, { type: 'logout' }, 20, 40],
    ['bytes', { MAX_MESSAGE_BYTES: '1024' }, { type: 'logout', payload: 'x'.repeat(900) }, 16, 40],
  ] as const)(
    'closes with 1008 when what waits exceeds its bound by %s',
    async (_, env, filler, fits, tooMany) => {
      const url = await urlOf(env);
      const { username } = accounts[0]!;
      const login = { type: 'login', payload: { username, password: PASSWORD } };
      const client = await connect(url);
      client.sendTogether([login, ...Array(fits).fill(filler)]);
      const answers = await take(client, 1 + fits);
      expect(answers.slice(1)).toEqual([LOGGED_OUT, ...Array(fits - 1).fill(AUTH_REQUIRED)]);
      client.sendTogether([login, ...Array(tooMany).fill(filler)]);
      expect(await client.closed).toEqual(TOO_MANY);
    },
  );

  it('cuts off a client that does not read, and detaches its session', async () => {
    const url = await urlOf({ MAX_BACKPRESSURE_BYTES: '65536' });
    const [lazy, busy] = [await connect(url), await connect(url)];
    const one = await authenticate(lazy);
    lazy.ws.pause();
    const burst = Array(5000).fill({ type: 'x' });
    await eventually(
      async () => {
        for (let i = 0; i < 10; i += 1) lazy.sendTogether(burst);
        return (await storiesOf(one))[0] === 'started detached:closed';
      },
      { timeoutMs: 30_000, intervalMs: 100 },
    );
    expect(await logout(busy)).toEqual(AUTH_REQUIRED);
    lazy.ws.terminate();
    // the session waits to be resumed
    expect(await tokenAuth(busy, one.token)).toEqual(authSuccess(one.username, one.token));
    expect(await storiesOf(one)).toEqual(['started detached:closed resumed']);
  });

  it('lets an account change its sessions so often and no more, so that it cannot fill the log', async () => {
    const url = await urlOf({ MESSAGE_RATE: '1000', MESSAGE_BURST: '1000', CHANGE_RATE: '1' });
    const [client, other] = [await connect(url), await connect(url)];
    const one = await authenticate(client);
    for (let i = 1; i < 57; i += 1) {
      if (i > 1) expect(await logout(client)).toEqual(LOGGED_OUT);
      expect((await tokenAuth(client, one.token)).type).toBe('auth_success');
    }
    const rename = (name: string) => client.request({ type: 'set_username', payload: name });
    for (const name of ['first', 'second', 'third'])
      expect(await rename(name)).toMatchObject({ payload: name });
    expect(await rename('fourth')).toEqual(RATE_LIMITED);
    expect(await client.request({ type: 'join_queue' })).toEqual(RATE_LIMITED);
    expect(await tokenAuth(other, one.token)).toEqual(authError('Too many attempts, try again later'));
    const login = { type: 'login', payload: { username: one.username, password: PASSWORD } };
    expect(await other.request(login)).toEqual(authError('Too many attempts, try again later'));
    await authenticate(other);
    expect(await logout(client)).toEqual(LOGGED_OUT); // whoever is in gets out
  });
});
