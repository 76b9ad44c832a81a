import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type Message, type TestClient } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { Fleet } from '../support/fleet.js';
import type { NodeProcess } from '../support/processes.js';
import { connectRaw } from '../support/rawClient.js';
import { type RedisServer, startRedis } from '../support/redis.js';

const CLIENTS = 15;

/** How long an answer may take while Redis is away and everybody waits, in ms. */
const PATIENCE_MS = 20_000;

describe('a crowd that errs in every way, while Redis is killed', () => {
  let redis: RedisServer;
  let fleet: Fleet;
  let node: NodeProcess;
  let worker: NodeProcess;

  /** All passwords and tokens that were sent or received, right or wrong, in their places or elsewhere. */
  const secrets = new Set<string>();

  /** The types and texts of all answers. */
  const answers = new Set<unknown>();

  beforeAll(async () => {
    redis = await startRedis({ appendonly: true });
    const env = { LOGIN_ATTEMPTS: '2', MESSAGE_RATE: '100', HASH_QUEUE: '8', COMMIT_TIMEOUT_MS: '500' };
    fleet = new Fleet({ REDIS_URL: redis.url, LOG_LEVEL: 'trace', ...env }, redis.client());
    [node, worker] = await Promise.all([fleet.serve(), fleet.work()]);
  });

  afterAll(async () => {
    await fleet?.stop();
    await redis?.stop();
  });

  function secret(): string {
    const made = randomUUID();
    secrets.add(made);
    return made;
  }

  /** Takes the next answer; gives the token in it, if there is one. */
  async function listen(client: TestClient): Promise<string | undefined> {
    const { type, payload }: Message = await client.next(PATIENCE_MS);
    const { token, message } = (payload ?? {}) as { token?: string; message?: string };
    answers.add(type).add(message);
    if (token !== undefined) secrets.add(token);
    return token;
  }

  async function talk(client: TestClient, username: string): Promise<void> {
    const ask = (type: string, payload: unknown) => {
      client.send({ type, payload });
      return listen(client);
    };
    const password = secret();
    const token = (await ask('register', { username, password })) ?? secret();
    await ask('register', { username, password: secret() });
    await ask('register', { username, password: secret(), email: 7 });
    await ask('login', { username, password });
    for (let i = 0; i < 3; i += 1) await ask('login', { username, password: secret() });
    await ask('token_auth', { token });
    await ask('token_auth', { token: secret() });
    await ask('token_auth', { token: { token: secret() } });
    await ask(secret(), secret());
    await ask('private_chat', { target: secret(), [secret()]: secret() });
    await ask('logout', { token, password });
    client.sendText(`{"type":"login","payload":{"username":"${username}","password":"${secret()}"`);
    await listen(client);
    client.send({ type: 'login', payload: { username, password: secret() } }); // and goes without an answer
  }

  /** In a query and in headers they have no place, but may come. */
  async function visit(username: string): Promise<void> {
    const query = `?token=${secret()}&password=${secret()}`;
    const headers = { authorization: `Bearer ${secret()}`, cookie: `token=${secret()}` };
    const client = await connect(`${node.wsUrl}${query}`, { headers });
    await talk(client, username);
    client.destroy();

    const body = JSON.stringify({ username: `${username}-http`, password: secret() });
    for (const sent of [body, body, body.slice(1)]) {
      const answer = await fetch(`${node.httpUrl}/register${query}`, { method: 'POST', body: sent, headers });
      answers.add(`${answer.status}`);
    }
    const raw = await connectRaw(`${node.wsUrl}${query}`);
    raw.write(Buffer.from(secret())); // is no frame
    await raw.closed;
  }

  it('leaves no password and no token in the logs', async () => {
    let isOver = false;
    const crowd = Array.from({ length: CLIENTS }, async (_, i) => {
      for (let round = 0; !isOver; round += 1) await visit(`user-${i}-${round}`);
    });
    const heard = async (...expected: string[]) => {
      const missing = () => expect([...answers]).toEqual(expect.arrayContaining(expected));
      await eventually(missing, { timeoutMs: 30_000 });
      answers.clear();
    };
    const mishap = async () => {
      await heard('register_success', 'auth_success', 'Invalid username or password', 'logged_out', '201');
      await redis.kill('SIGKILL');
      await heard('Registration failed due to a server error', 'Service unavailable, try again later', '500');
      await redis.start();
      await heard('register_success', 'Too many attempts, try again later', 'Username already exists', '409');
      isOver = true;
    };
    await Promise.all([mishap(), ...crowd]);
    for (const process of [node, worker]) expect((await process.stop()).code).toBe(0);

    const printed = [node, worker].map(({ stdout, stderr }) => stdout + stderr).join('\n');
    expect(printed).toContain('session.logged_out');
    expect(printed).toMatch(/"level":[45]0/);
    expect(secrets.size).toBeGreaterThan(500);
    for (const text of secrets) {
      for (const form of [text, text.replaceAll('-', '')]) expect(printed.includes(form), form).toBe(false);
    }
  });
});
