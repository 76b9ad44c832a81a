import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type TestClient } from '../support/client.js';
import { login, register, tokenAuth, tokenOf } from '../support/conversation.js';
import { authError, registrationError } from '../support/expected.js';
import { Fleet, PASSWORD as SEEDED_PASSWORD } from '../support/fleet.js';
import type { NodeProcess } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';

const PASSWORD = 'secret1';
const WRONG = 'not my password';
const NOBODYS_TOKEN = '550e8400-e29b-41d4-a716-446655440000';
const BAD_CREDENTIALS = authError('Invalid username or password');
const BAD_TOKEN = authError('Invalid or expired token');
const TOO_MANY = authError('Too many attempts, try again later');

describe('attempts', () => {
  let redis: RedisServer;
  const fleets: Fleet[] = [];

  beforeAll(async () => {
    redis = await startRedis();
  });

  afterAll(async () => {
    await Promise.all(fleets.map((fleet) => fleet.stop()));
    await redis?.stop();
  });

  interface Clients {
    /** On two nodes, from the same address. */
    readonly a: TestClient;
    readonly b: TestClient;
    /** On the first node, from another address. */
    readonly elsewhere: TestClient;
    /** The first node. */
    readonly node: NodeProcess;
    readonly fleet: Fleet;
  }

  /** Two nodes that share limits, with accounts `jane` and `john` (registered from a third address). */
  async function limited(env: Record<string, string>): Promise<Clients & { token: string }> {
    const fleet = new Fleet({ REDIS_URL: redis.url, ...env }, redis.client());
    fleets.push(fleet);
    const nodes = await Promise.all([fleet.serve(), fleet.serve()]);
    const [first, second] = nodes.map(({ wsUrl }) => wsUrl) as [string, string];
    const registrar = await connect(first, { localAddress: '127.0.0.3' });
    const token = tokenOf(await register(registrar, 'jane', PASSWORD));
    await register(registrar, 'john', PASSWORD);
    return {
      a: await connect(first),
      b: await connect(second),
      elsewhere: await connect(first, { localAddress: '127.0.0.2' }),
      node: nodes[0]!,
      fleet,
      token,
    };
  }

  it('are limited per account and address, on all nodes together', async () => {
    const { a, b, elsewhere, token } = await limited({ LOGIN_ATTEMPTS: '3' });
    expect(await login(a, 'jane', WRONG)).toEqual(BAD_CREDENTIALS);
    expect(await login(b, 'jane', WRONG)).toEqual(BAD_CREDENTIALS);
    expect(await login(a, 'jane', WRONG)).toEqual(BAD_CREDENTIALS);
    for (const client of [a, b]) {
      expect(await login(client, 'jane', WRONG)).toEqual(TOO_MANY);
      expect(await login(client, 'jane', PASSWORD)).toEqual(TOO_MANY);
    }
    // an account that does not exist is no other
    for (const answer of [BAD_CREDENTIALS, BAD_CREDENTIALS, BAD_CREDENTIALS, TOO_MANY]) {
      expect(await login(a, 'nobody', WRONG)).toEqual(answer);
    }
    expect((await login(a, 'john', PASSWORD)).type).toBe('auth_success');
    expect((await tokenAuth(a, token)).type).toBe('auth_success');
    expect((await login(elsewhere, 'jane', PASSWORD)).type).toBe('auth_success');
  });

  it('are only counted when they fail, and a form that is wrong is none', async () => {
    const { a } = await limited({ LOGIN_ATTEMPTS: '3' });
    for (let i = 0; i < 2; i += 1) expect(await login(a, 'jane', WRONG)).toEqual(BAD_CREDENTIALS);
    for (let i = 0; i < 8; i += 1) expect((await login(a, 'jane', PASSWORD)).type).toBe('auth_success');
    for (let i = 0; i < 8; i += 1) await login(a, 'jane', 'short');
    expect(await login(a, 'jane', WRONG)).toEqual(BAD_CREDENTIALS);
    expect(await login(a, 'jane', WRONG)).toEqual(TOO_MANY);
  });

  it('are not counted when the password is right and the login can only not be recorded', async () => {
    const fleet = new Fleet({ REDIS_URL: redis.url, LOGIN_ATTEMPTS: '2' }, redis.client());
    fleets.push(fleet);
    const [account] = await fleet.seed(1);
    const node = await fleet.serve({ WAIT_REPLICAS: '1', COMMIT_TIMEOUT_MS: '100' }); // and there is none
    const client = await connect(node.wsUrl);
    for (let i = 0; i < 5; i += 1) {
      const answer = await login(client, account!.username, SEEDED_PASSWORD);
      expect(answer).toEqual(authError('Service unavailable, try again later'));
    }
  });

  it('are limited per address, whatever the accounts', async () => {
    const { a, b, elsewhere } = await limited({ LOGIN_ATTEMPTS_PER_ADDRESS: '3' });
    for (const [client, username] of [
      [a, 'jane'],
      [b, 'john'],
      [a, 'nobody'],
    ] as const) {
      expect(await login(client, username, WRONG)).toEqual(BAD_CREDENTIALS);
    }
    expect(await login(a, 'jane', PASSWORD)).toEqual(TOO_MANY);
    expect(await login(b, 'john', PASSWORD)).toEqual(TOO_MANY);
    expect((await login(elsewhere, 'jane', PASSWORD)).type).toBe('auth_success');
  });

  it('by token are limited per address', async () => {
    const { a, b, elsewhere, token } = await limited({
      LOGIN_ATTEMPTS: '1',
      LOGIN_ATTEMPTS_PER_ADDRESS: '3',
    });
    expect(await tokenAuth(a, NOBODYS_TOKEN)).toEqual(BAD_TOKEN);
    expect(await tokenAuth(b, NOBODYS_TOKEN)).toEqual(BAD_TOKEN);
    for (let i = 0; i < 5; i += 1) expect((await tokenAuth(a, token)).type).toBe('auth_success');
    expect(await tokenAuth(a, NOBODYS_TOKEN)).toEqual(BAD_TOKEN);
    for (const client of [a, b]) {
      expect(await tokenAuth(client, NOBODYS_TOKEN)).toEqual(TOO_MANY);
      expect(await tokenAuth(client, token)).toEqual(TOO_MANY);
      expect(await login(client, 'jane', PASSWORD)).toEqual(TOO_MANY);
    }
    expect(await tokenAuth(elsewhere, NOBODYS_TOKEN)).toEqual(BAD_TOKEN);
    expect((await tokenAuth(elsewhere, token)).type).toBe('auth_success');
  });

  it('that fail are logged, with the address and the account, those beyond the limits no more', async () => {
    const { a, node } = await limited({ LOGIN_ATTEMPTS: '2', LOGIN_ATTEMPTS_PER_ADDRESS: '4' });
    for (let i = 0; i < 4; i += 1) await login(a, 'jane', WRONG);
    await login(a, 'nobody', WRONG);
    for (let i = 0; i < 4; i += 1) await tokenAuth(a, NOBODYS_TOKEN);
    expect(await login(a, 'john', PASSWORD)).toEqual(TOO_MANY);
    const failed = node.logs.filter(({ msg }) => /failed$/.test(String(msg)));
    const account = expect.stringMatching(/^a[\w-]{16}$/);
    expect(failed).toEqual([
      expect.objectContaining({ address: '127.0.0.1', account, msg: 'login failed' }),
      expect.objectContaining({ address: '127.0.0.1', account, msg: 'login failed' }),
      expect.objectContaining({ address: '127.0.0.1', msg: 'login failed' }),
      expect.objectContaining({ address: '127.0.0.1', msg: 'login by token failed' }),
    ]);
    expect(failed[2]).not.toHaveProperty('account');
  });

  it('to register are limited per address, by WebSocket and HTTP together', async () => {
    const { a, b, elsewhere, node } = await limited({ REGISTRATIONS_PER_ADDRESS: '3' });
    const tooMany = registrationError('Too many registrations, try again later');
    const post = (username: string) =>
      fetch(`${node.httpUrl}/register`, {
        method: 'POST',
        body: JSON.stringify({ username, password: PASSWORD }),
      });

    expect((await register(a, 'one', PASSWORD)).type).toBe('register_success');
    for (let i = 0; i < 5; i += 1) await register(a, 'no', PASSWORD); // is wrong, and no attempt
    expect((await register(b, 'two', PASSWORD)).type).toBe('register_success');
    expect((await post('three')).status).toBe(201);

    expect(await register(a, 'four', PASSWORD)).toEqual(tooMany);
    expect(await register(b, 'four', PASSWORD)).toEqual(tooMany);
    const refused = await post('four');
    expect(refused.status).toBe(429);
    expect(await refused.text()).toBe('Too many registrations, try again later');
    const retryAfter = Number(refused.headers.get('retry-after'));
    expect(retryAfter).toBeGreaterThan(0);
    expect(retryAfter).toBeLessThanOrEqual(3600);
    expect((await register(elsewhere, 'four', PASSWORD)).type).toBe('register_success');
  });
});
