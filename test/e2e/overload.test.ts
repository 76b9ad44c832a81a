import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type Message } from '../support/client.js';
import { login, logout, register } from '../support/conversation.js';
import { AUTH_REQUIRED, authError, registrationError } from '../support/expected.js';
import { type Account, expectSound, Fleet, PASSWORD } from '../support/fleet.js';
import { countByType } from '../support/log.js';
import type { NodeProcess } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';

const CLIENTS = 30;

describe('more passwords than can be hashed', () => {
  let redis: RedisServer;
  let fleet: Fleet;
  let node: NodeProcess;
  let accounts: Account[];

  beforeAll(async () => {
    redis = await startRedis({ appendonly: true });
    fleet = new Fleet({ REDIS_URL: redis.url, LOGIN_ATTEMPTS: '2' }, redis.client());
    node = await fleet.serve({ HASH_CONCURRENCY: '1', HASH_QUEUE: '3' });
    accounts = await fleet.seed(CLIENTS);
  });

  afterAll(async () => {
    await fleet?.stop();
    await redis?.stop();
  });

  /** What many clients are answered that all send a request at once. */
  async function allAtOnce(
    ask: (client: Awaited<ReturnType<typeof connect>>, i: number) => Promise<Message>,
  ): Promise<Message[]> {
    const clients = await Promise.all(Array.from({ length: CLIENTS }, () => connect(node.wsUrl)));
    const answers = await Promise.all(clients.map(ask));
    for (const [i, client] of clients.entries()) {
      if (answers[i]!.type.endsWith('error')) expect(await logout(client)).toEqual(AUTH_REQUIRED);
      await client.close();
    }
    return answers;
  }

  function expectSomeOfEach(answers: Message[], success: string, refusal: Message): void {
    const refused = answers.filter(({ type }) => type !== success);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length).toBeLessThan(answers.length);
    for (const answer of refused) expect(answer).toEqual(refusal);
  }

  it('are refused at once, and a login that was refused so is no failed attempt', async () => {
    const unavailable = authError('Service unavailable, try again later');
    for (let round = 0; round < 4; round += 1) {
      const answers = await allAtOnce((client, i) => login(client, accounts[i]!.username, PASSWORD));
      expectSomeOfEach(answers, 'auth_success', unavailable);
    }
    const client = await connect(node.wsUrl);
    for (const { username } of accounts) {
      expect((await login(client, username, PASSWORD)).type).toBe('auth_success');
    }
    await client.close();
  });

  it('make no account of a registration that is refused', async () => {
    const before = countByType(await fleet.log())['account.registered'] ?? 0;
    const answers = await allAtOnce((client, i) => register(client, `new-${i}`, PASSWORD));
    expectSomeOfEach(
      answers,
      'register_success',
      registrationError('Registration failed due to a server error'),
    );
    const log = await fleet.log();
    expectSound(log);
    const registered = answers.filter(({ type }) => type === 'register_success').length;
    expect(countByType(log)['account.registered']).toBe(before + registered);
  });

  it('are refused over HTTP with 500', async () => {
    const answers = await Promise.all(
      Array.from({ length: CLIENTS }, async (_, i) => {
        const body = JSON.stringify({ username: `http-${i}`, password: PASSWORD });
        const answer = await fetch(`${node.httpUrl}/register`, { method: 'POST', body });
        return `${answer.status} ${await answer.text()}`;
      }),
    );
    const refused = answers.filter((answer) => !answer.startsWith('201 '));
    expect(new Set(refused)).toEqual(new Set(['500 Internal server error']));
    expect(refused.length).toBeLessThan(CLIENTS);
    expect(node.logs.filter(({ level }) => Number(level) >= 40)).toEqual([]);
  });
});
