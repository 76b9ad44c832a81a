import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Backend, FORMS } from '../support/backends.js';
import { connect, type TestClient } from '../support/client.js';
import { login, register, tokenAuth, tokenOf } from '../support/conversation.js';
import { authError, registrationError } from '../support/expected.js';
import { Fleet, PASSWORD as SEEDED_PASSWORD } from '../support/fleet.js';
import type { NodeProcess } from '../support/processes.js';
import { startRedis } from '../support/redis.js';

const PASSWORD = 'secret1';
const WRONG = 'not my password';
const NOBODYS_TOKEN = '550e8400-e29b-41d4-a716-446655440000';
const BAD_CREDENTIALS = authError('Invalid username or password');
const BAD_TOKEN = authError('Invalid or expired token');
const TOO_MANY = authError('Too many attempts, try again later');

const PER_ACCOUNT = 3;
const PER_ADDRESS = 8;
const REGISTRATIONS = 3;

describe.each(FORMS)('attempts, with $name,', ({ start }) => {
  let backend: Backend;
  let fleet: Fleet;
  let nodes: NodeProcess[];
  /** How many tests have had addresses and accounts of their own so far. */
  let tests = 0;

  beforeAll(async () => {
    backend = await start();
    const limits = {
      LOGIN_ATTEMPTS: `${PER_ACCOUNT}`,
      LOGIN_ATTEMPTS_PER_ADDRESS: `${PER_ADDRESS}`,
      REGISTRATIONS_PER_ADDRESS: `${REGISTRATIONS}`,
    };
    fleet = new Fleet({ ...backend.env, ...limits }, backend.client());
    nodes = await Promise.all([fleet.serve(), fleet.serve()]);
  });

  afterAll(async () => {
    await fleet?.stop();
    await backend?.stop();
  });

  interface Clients {
    /** On two nodes, from the same address. */
    readonly a: TestClient;
    readonly b: TestClient;
    /** On the first node, from another address. */
    readonly elsewhere: TestClient;
    /** The address of the first two. */
    readonly address: string;
    /** Names of two accounts, registered from a third address. */
    readonly jane: string;
    readonly john: string;
    /** A token of the first. */
    readonly token: string;
  }

  /** Accounts and addresses that nobody else has. */
  async function newcomers(): Promise<Clients> {
    const number = ++tests;
    const [jane, john] = [`jane-${number}`, `john-${number}`];
    const from = (host: number, node = 0) =>
      connect(nodes[node]!.wsUrl, { localAddress: `127.0.${number}.${host}` });
    const registrar = await from(3);
    const token = tokenOf(await register(registrar, jane, PASSWORD));
    await register(registrar, john, PASSWORD);
    const [a, b, elsewhere] = [await from(1), await from(1, 1), await from(2)];
    return { a, b, elsewhere, address: `127.0.${number}.1`, jane, john, token };
  }

  it('are limited per account and address, on all nodes together', async () => {
    const { a, b, elsewhere, jane, john, token } = await newcomers();
    expect(await login(a, jane, WRONG)).toEqual(BAD_CREDENTIALS);
    expect(await login(b, jane, WRONG)).toEqual(BAD_CREDENTIALS);
    expect(await login(a, jane, WRONG)).toEqual(BAD_CREDENTIALS);
    for (const client of [a, b]) {
      expect(await login(client, jane, WRONG)).toEqual(TOO_MANY);
      expect(await login(client, jane, PASSWORD)).toEqual(TOO_MANY);
    }
    // an account that does not exist is no other
    for (const answer of [BAD_CREDENTIALS, BAD_CREDENTIALS, BAD_CREDENTIALS, TOO_MANY]) {
      expect(await login(a, 'nobody', WRONG)).toEqual(answer);
    }
    expect((await login(a, john, PASSWORD)).type).toBe('auth_success');
    expect((await tokenAuth(a, token)).type).toBe('auth_success');
    expect((await login(elsewhere, jane, PASSWORD)).type).toBe('auth_success');
  });

  it('are only counted when they fail, and a form that is wrong is none', async () => {
    const { a, jane } = await newcomers();
    for (let i = 1; i < PER_ACCOUNT; i += 1) expect(await login(a, jane, WRONG)).toEqual(BAD_CREDENTIALS);
    for (let i = 0; i < 8; i += 1) expect((await login(a, jane, PASSWORD)).type).toBe('auth_success');
    for (let i = 0; i < 8; i += 1) await login(a, jane, 'short');
    expect(await login(a, jane, WRONG)).toEqual(BAD_CREDENTIALS);
    expect(await login(a, jane, WRONG)).toEqual(TOO_MANY);
  });

  it('are limited per address, whatever the accounts', async () => {
    const { a, b, elsewhere, jane, john } = await newcomers();
    for (let i = 0; i < PER_ADDRESS; i += 1) {
      const username = [jane, john, 'nobody'][i % 3]!;
      expect(await login(i % 2 === 0 ? a : b, username, WRONG)).toEqual(BAD_CREDENTIALS);
    }
    for (const client of [a, b]) {
      for (const username of [jane, john]) expect(await login(client, username, PASSWORD)).toEqual(TOO_MANY);
    }
    expect((await login(elsewhere, jane, PASSWORD)).type).toBe('auth_success');
  });

  it('by token are limited per address', async () => {
    const { a, b, elsewhere, jane, token } = await newcomers();
    for (let i = 1; i < PER_ADDRESS; i += 1) {
      expect(await tokenAuth(i % 2 === 0 ? a : b, NOBODYS_TOKEN)).toEqual(BAD_TOKEN);
    }
    for (let i = 0; i < 5; i += 1) expect((await tokenAuth(a, token)).type).toBe('auth_success');
    expect(await tokenAuth(a, NOBODYS_TOKEN)).toEqual(BAD_TOKEN);
    for (const client of [a, b]) {
      expect(await tokenAuth(client, NOBODYS_TOKEN)).toEqual(TOO_MANY);
      expect(await tokenAuth(client, token)).toEqual(TOO_MANY);
      expect(await login(client, jane, PASSWORD)).toEqual(TOO_MANY);
    }
    expect(await tokenAuth(elsewhere, NOBODYS_TOKEN)).toEqual(BAD_TOKEN);
    expect((await tokenAuth(elsewhere, token)).type).toBe('auth_success');
  });

  it('that fail are logged, with the address and the account, those beyond the limits no more', async () => {
    const { a, address, jane, john } = await newcomers();
    const byName = [...Array<string>(PER_ACCOUNT + 2).fill(jane), 'nobody'];
    for (const username of byName) await login(a, username, WRONG);
    const byToken = PER_ADDRESS - (PER_ACCOUNT + 1);
    for (let i = 0; i < byToken + 2; i += 1) await tokenAuth(a, NOBODYS_TOKEN);
    expect(await login(a, john, PASSWORD)).toEqual(TOO_MANY);
    const failed = nodes[0]!.logs.filter((line) => /failed$/.test(`${line.msg}`) && line.address === address);
    const account = expect.stringMatching(/^a[\w-]{16}$/);
    expect(failed).toEqual([
      ...Array(PER_ACCOUNT).fill(expect.objectContaining({ account, msg: 'login failed' })),
      expect.objectContaining({ msg: 'login failed' }),
      ...Array(byToken).fill(expect.objectContaining({ msg: 'login by token failed' })),
    ]);
    expect(failed[PER_ACCOUNT]).not.toHaveProperty('account');
  });

  it('to register are limited per address, by WebSocket and HTTP together', async () => {
    const [a, b] = [await connect(nodes[0]!.wsUrl), await connect(nodes[1]!.wsUrl)]; // from where fetch() comes, too
    const { elsewhere } = await newcomers();
    const tooMany = registrationError('Too many registrations, try again later');
    const post = (username: string) =>
      fetch(`${nodes[0]!.httpUrl}/register`, {
        method: 'POST',
        body: JSON.stringify({ username, password: PASSWORD }),
      });

    expect((await register(a, 'one', PASSWORD)).type).toBe('register_success');
    for (let i = 0; i < 5; i += 1) await register(a, 'no', PASSWORD); // is wrong, and no attempt
    expect((await register(b, 'two', PASSWORD)).type).toBe('register_success');
    expect((await post('three')).status).toBe(201);

    for (const client of [a, b]) expect(await register(client, 'four', PASSWORD)).toEqual(tooMany);
    const refused = await post('four');
    expect(refused.status).toBe(429);
    expect(await refused.text()).toBe('Too many registrations, try again later');
    const retryAfter = Number(refused.headers.get('retry-after'));
    expect(retryAfter).toBeGreaterThan(0);
    expect(retryAfter).toBeLessThanOrEqual(3600);
    expect((await register(elsewhere, 'four', PASSWORD)).type).toBe('register_success');
  });
});

describe('an attempt with the right password that can only not be recorded', () => {
  it('is not counted', async () => {
    const redis = await startRedis();
    const fleet = new Fleet({ REDIS_URL: redis.url, LOGIN_ATTEMPTS: '2' }, redis.client());
    try {
      const [account] = await fleet.seed(1);
      const node = await fleet.serve({ WAIT_REPLICAS: '1', COMMIT_TIMEOUT_MS: '100' }); // and there is none
      const client = await connect(node.wsUrl);
      for (let i = 0; i < 5; i += 1) {
        const answer = await login(client, account!.username, SEEDED_PASSWORD);
        expect(answer).toEqual(authError('Service unavailable, try again later'));
      }
    } finally {
      await fleet.stop();
      await redis.stop();
    }
  });
});
