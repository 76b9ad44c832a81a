import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ConnectOptions, connect } from '../support/client.js';
import type { Environment } from '../support/cliProcess.js';
import { login, tokenAuth } from '../support/conversation.js';
import { authError, authSuccess } from '../support/expected.js';
import { PASSWORD } from '../support/fleet.js';
import { Siege } from './harness/siege.js';

const PER_ACCOUNT = 4;
const PER_ADDRESS = 12;
const LIMITS: Environment = {
  LOGIN_ATTEMPTS: `${PER_ACCOUNT}`,
  LOGIN_ATTEMPTS_PER_ADDRESS: `${PER_ADDRESS}`,
};

const WRONG = 'not the password';
const BAD_CREDENTIALS = authError('Invalid username or password');
const BAD_TOKEN = authError('Invalid or expired token');
const TOO_MANY = authError('Too many attempts, try again later');

/** A password that is hashed takes 19 MB. */
const HARMLESS = { grownMb: 100, slowdown: 20 };

/** Guesses of one connection, one after the other. */
const GUESSES = 20;

/** Where victims log in from. */
const HOME = { localAddress: '127.0.8.8' };

describe.each<[string, Environment]>([
  ['no proxy is trusted', {}],
  ['others are', { TRUSTED_PROXIES: '127.0.6.0/24,::1' }],
])('guessing, where %s,', (_, env) => {
  let siege: Siege;
  let limitsBefore: number;

  beforeAll(async () => {
    siege = await Siege.begin({ ...LIMITS, ...env }, 5);
  });

  beforeEach(async () => {
    limitsBefore = (await limits()).length;
  });

  afterAll(() => siege?.stop());

  const limits = () => siege.fleet.keys('limit:*');

  /** Guesses from so many connections at the same time; gives how many guesses were tried, and how many refused. */
  async function guess(
    connections: number,
    from: (connection: number) => ConnectOptions,
    username: (connection: number, guess: number) => string,
  ): Promise<{ tried: number; refused: number }> {
    const answers = await Promise.all(
      Array.from({ length: connections }, async (_, i) => {
        const client = await connect(siege.node.wsUrl, from(i));
        for (let k = 0; k < GUESSES; k += 1) {
          client.send({ type: 'login', payload: { username: username(i, k), password: `${WRONG} ${k}` } });
          await client.next(30_000);
        }
        await client.close();
        return client.received;
      }),
    );
    const all = answers.flat();
    const tried = all.filter((answer) => JSON.stringify(answer) === JSON.stringify(BAD_CREDENTIALS)).length;
    expect(all.filter((answer) => JSON.stringify(answer) === JSON.stringify(TOO_MANY))).toHaveLength(
      all.length - tried,
    );
    return { tried, refused: all.length - tried };
  }

  async function expectLoggedIn(username: string, options: ConnectOptions): Promise<void> {
    const client = await connect(siege.node.wsUrl, options);
    expect((await login(client, username, PASSWORD)).type).toBe('auth_success');
    await client.close();
  }

  /** Nothing that an attack leaves behind in Redis stays for ever. */
  async function expectLimitsExpire(atMost: number): Promise<void> {
    const keys = await limits();
    expect(keys.length).toBeGreaterThan(limitsBefore);
    expect(keys.length).toBeLessThanOrEqual(limitsBefore + atMost);
    for (const key of keys) expect(await siege.fleet.redis.pttl(key), key).toBeGreaterThan(0);
  }

  it('of the password of one account from many addresses is limited for each, and its owner can still log in', async () => {
    const victim = siege.accounts.pop()!.username;
    const addresses = 15;
    await siege.during(HARMLESS, async () => {
      const { tried } = await guess(
        addresses * 2,
        (i) => ({ localAddress: `127.0.7.${1 + (i % addresses)}` }),
        () => victim,
      );
      expect(tried).toBe(addresses * PER_ACCOUNT);
      await expectLoggedIn(victim, HOME);
    });
    await expectLimitsExpire(2 * addresses + 2);
  });

  it('of passwords of many accounts from one address is limited for the address, and not for anybody else', async () => {
    const victim = siege.accounts.pop()!.username;
    const localAddress = '127.0.10.1';
    const connections = 10;
    await siege.during(HARMLESS, async () => {
      const { tried } = await guess(
        connections,
        () => ({ localAddress }),
        (i, k) => `guessed-${i}-${k}`,
      );
      expect(tried).toBeGreaterThanOrEqual(PER_ADDRESS);
      expect(tried).toBeLessThan(PER_ADDRESS + connections); // those under way at the same time
      const client = await connect(siege.node.wsUrl, { localAddress });
      expect(await login(client, victim, PASSWORD)).toEqual(TOO_MANY);
      await expectLoggedIn(victim, HOME);
    });
    await expectLimitsExpire(PER_ADDRESS + connections + 3);
  });

  it('of tokens from one address is limited for the address, and not for anybody else', async () => {
    const { username, token } = siege.accounts.pop()!;
    const localAddress = '127.0.11.1';
    const [connections, guesses] = [20, 200];
    let tried = 0;
    await siege.during(HARMLESS, async () => {
      await Promise.all(
        Array.from({ length: connections }, async () => {
          const client = await connect(siege.node.wsUrl, { localAddress });
          for (let k = 0; k < guesses; k += 1) {
            const payload = { token: randomUUID() };
            const answer = await client.request({ type: 'token_auth', payload }, 30_000);
            if (JSON.stringify(answer) === JSON.stringify(BAD_TOKEN)) tried += 1;
            else expect(answer).toEqual(TOO_MANY);
          }
          expect(await tokenAuth(client, token)).toEqual(TOO_MANY);
          await client.close();
        }),
      );
      const owner = await connect(siege.node.wsUrl, HOME);
      expect(await tokenAuth(owner, token)).toEqual(authSuccess(username, token));
      await owner.close();
    });
    expect(tried).toBeGreaterThanOrEqual(PER_ADDRESS);
    expect(tried).toBeLessThan(PER_ADDRESS + connections); // those under way at the same time
    await expectLimitsExpire(1);
  });

  it('gains nothing by a forged X-Forwarded-For', async () => {
    const victim = siege.accounts.pop()!.username;
    const forging = (address: string) => ({
      localAddress: '127.0.12.1',
      headers: { 'x-forwarded-for': address },
    });
    await siege.during(HARMLESS, async () => {
      const { tried } = await guess(
        20,
        (i) => forging(i % 2 === 0 ? HOME.localAddress : `203.0.113.${i}, 127.0.6.1`),
        () => victim,
      );
      expect(tried).toBe(PER_ACCOUNT);
      await expectLoggedIn(victim, HOME);
    });
  });

  if (!env.TRUSTED_PROXIES) return;

  it('of passwords is limited for each client of a trusted proxy, whatever the client claims', async () => {
    const victim = siege.accounts.pop()!.username;
    const viaProxy = (seen: string) => ({ localAddress: '127.0.6.1', headers: { 'x-forwarded-for': seen } });
    await siege.during(HARMLESS, async () => {
      const { tried } = await guess(
        20,
        (i) => viaProxy(`198.51.100.${i}, 203.0.113.${i % 2}`),
        () => victim,
      );
      expect(tried).toBe(2 * PER_ACCOUNT);
      await expectLoggedIn(victim, viaProxy('203.0.113.9'));
      await expectLoggedIn(victim, HOME);
    });
  });
});
