import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ConnectOptions, connect, type TestClient } from '../support/client.js';
import type { Environment } from '../support/cliProcess.js';
import { logout, tokenAuth } from '../support/conversation.js';
import { AUTH_REQUIRED, LOGGED_OUT, SOON, UNKNOWN_TYPE } from '../support/expected.js';
import { type Account, Fleet } from '../support/fleet.js';
import { connectRaw } from '../support/rawClient.js';
import { type RedisServer, startRedis } from '../support/redis.js';

const TOO_MANY = { code: 1008, reason: 'Too many connections from this address' };
const OVERLOADED = { code: 1013, reason: 'Overloaded, try again later' };
const TOO_LATE = { code: 4002, reason: 'Not authenticated in time' };

describe('limits of connections', () => {
  let redis: RedisServer;
  let fleet: Fleet;
  let accounts: Account[];

  beforeAll(async () => {
    redis = await startRedis();
    fleet = new Fleet({ REDIS_URL: redis.url }, redis.client());
    accounts = await fleet.seed(5);
  });

  afterAll(async () => {
    await fleet?.stop();
    await redis?.stop();
  });

  /** Starts a node of its own; gives a function that connects to it. */
  async function limited(env: Environment): Promise<(options?: ConnectOptions) => Promise<TestClient>> {
    const { wsUrl } = await fleet.serve(env);
    return (options) => connect(wsUrl, options);
  }

  async function expectServed(client: TestClient): Promise<void> {
    expect(await logout(client)).toEqual(AUTH_REQUIRED);
  }

  it('closes with 1008 what exceeds CONNECTIONS_PER_ADDRESS, until another has gone', async () => {
    const open = await limited({ CONNECTIONS_PER_ADDRESS: '2' });
    const [first, second, third] = [await open(), await open(), await open()];
    third.send({ type: 'logout' });
    expect(await third.closed).toEqual(TOO_MANY);
    expect(third.received).toEqual([]);
    await expectServed(await open({ localAddress: '127.0.0.2' }));
    await expectServed(first);
    await expectServed(second);
    await first.close();
    await expectServed(await open());
    expect(await (await open()).closed).toEqual(TOO_MANY);
  });

  it('closes with 1013 what exceeds MAX_CONNECTIONS, until another has gone', async () => {
    const open = await limited({ MAX_CONNECTIONS: '2' });
    const [first, second] = [await open(), await open({ localAddress: '127.0.0.2' })];
    for (let i = 0; i < 5; i += 1) expect(await (await open()).closed).toEqual(OVERLOADED);
    await expectServed(first);
    first.destroy();
    const isServed = async () => (await open()).request({ type: 'logout' }).catch(() => null);
    await expect.poll(isServed, SOON).toEqual(AUTH_REQUIRED);
    await expectServed(second);
  });

  it('closes with 4002 a connection without a session after AUTH_SECONDS, and no other', async () => {
    const open = await limited({ AUTH_SECONDS: '1' });
    const { token } = accounts[0]!;
    const player = await open();
    expect((await tokenAuth(player, token)).type).toBe('auth_success');
    const [silent, busy] = [await open(), await open()];
    let answered = 0;
    const trying = setInterval(() => busy.send({ type: 'x' }), 50);
    busy.ws.on('message', () => {
      answered += 1;
    });
    expect(await silent.closed).toEqual(TOO_LATE);
    expect(await busy.closed).toEqual(TOO_LATE); // asking for this and that is no authentication
    clearInterval(trying);
    expect(answered).toBeGreaterThan(5);
    expect(await player.request({ type: 'x' })).toEqual(UNKNOWN_TYPE);
    // from the logout on, the time runs again
    const startedAt = performance.now();
    expect(await logout(player)).toEqual(LOGGED_OUT);
    expect((await tokenAuth(player, token)).type).toBe('auth_success');
    expect(await logout(player)).toEqual(LOGGED_OUT);
    expect(await player.closed).toEqual(TOO_LATE);
    expect(performance.now() - startedAt).toBeGreaterThan(1000);
  });

  it('lets pages of ALLOWED_ORIGINS connect, and what is no page', async () => {
    const open = await limited({ ALLOWED_ORIGINS: 'https://play.example.com,http://localhost:3000' });
    for (const origin of ['https://play.example.com', 'HTTPS://Play.Example.com', 'http://localhost:3000']) {
      await expectServed(await open({ headers: { origin } }));
    }
    await expectServed(await open());
    for (const origin of [
      'http://play.example.com',
      'https://example.com',
      'https://play.example.com.evil.example',
      'https://play.example.com:444',
      'http://localhost',
      'null',
    ]) {
      await expect(open({ headers: { origin } })).rejects.toThrow('403');
    }
  });

  it('takes no registration from a page of another origin', async () => {
    const { httpUrl } = await fleet.serve({ ALLOWED_ORIGINS: 'https://play.example.com' });
    const register = (headers: Record<string, string>) =>
      fetch(`${httpUrl}/register`, {
        method: 'POST',
        headers,
        body: JSON.stringify({ username: 'ja', password: 'secret1' }),
      }).then(({ status }) => status);
    expect(await register({ origin: 'https://evil.example' })).toBe(403);
    expect(await register({ origin: 'https://play.example.com' })).toBe(400);
    expect(await register({})).toBe(400);
  });

  it('lets any page connect without ALLOWED_ORIGINS', async () => {
    const open = await limited({});
    await expectServed(await open({ headers: { origin: 'https://anywhere.example' } }));
  });

  it('counts by X-Forwarded-For behind TRUSTED_PROXIES', async () => {
    const open = await limited({ CONNECTIONS_PER_ADDRESS: '1', TRUSTED_PROXIES: '127.0.0.1' });
    const from = (forwarded: string, localAddress = '127.0.0.1') =>
      open({ headers: { 'x-forwarded-for': forwarded }, localAddress });
    await expectServed(await from('203.0.113.1'));
    await expectServed(await from('203.0.113.2'));
    expect(await (await from('203.0.113.1')).closed).toEqual(TOO_MANY);
    // what a client claims stands before what the proxy has seen
    expect(await (await from('198.51.100.9, 203.0.113.1')).closed).toEqual(TOO_MANY);
    // one household, one address
    await expectServed(await from('2001:db8:1:2:3::4'));
    expect(await (await from('2001:db8:1:2:ffff::5')).closed).toEqual(TOO_MANY);
    // who is no proxy is not believed
    await expectServed(await from('203.0.113.3', '127.0.0.2'));
    expect(await (await from('203.0.113.4', '127.0.0.2')).closed).toEqual(TOO_MANY);
  });

  it('counts by all lines of X-Forwarded-For, and not by the first, which the client may have written', async () => {
    const { wsUrl } = await fleet.serve({ CONNECTIONS_PER_ADDRESS: '1', TRUSTED_PROXIES: '127.0.0.1' });
    const claiming = (address: string) => {
      const lines = `${address}\r\nX-Forwarded-For: 203.0.113.1`;
      return connectRaw(wsUrl, { headers: { 'X-Forwarded-For': lines } });
    };
    const first = await claiming('198.51.100.1');
    const second = await claiming('198.51.100.2');
    expect(await second.closed).toEqual(TOO_MANY);
    first.destroy();
  });
});
