import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Backend, FORMS } from '../support/backends.js';
import { connect } from '../support/client.js';
import { login, logout, register, tokenAuth, tokenOf } from '../support/conversation.js';
import { expectSound, Fleet } from '../support/fleet.js';

describe.each(FORMS)('secrets, with $name,', ({ start }) => {
  let backend: Backend;
  let fleet: Fleet;

  beforeAll(async () => {
    backend = await start();
    const env = { LOG_LEVEL: 'trace', OC_EMAIL_VALIDATION: 'true', LOGIN_ATTEMPTS: '3' };
    fleet = new Fleet({ ...backend.env, ...env }, backend.client());
  });

  afterAll(async () => {
    await fleet?.stop();
    await backend?.stop();
  });

  it('are neither in what a node prints nor in Redis', async () => {
    const node = await fleet.serve();
    const client = await connect(node.wsUrl);
    const [username, password, wrong] = ['secretive.jane', 'correct horse battery', 'wrong horse'];
    const email = 'secretive.jane@example.com';
    const bogus = '550e8400-e29b-41d4-a716-446655440000';

    const tokens = [tokenOf(await register(client, username, password, email))];
    tokens.push(tokenOf(await login(client, username, password)));
    for (const token of tokens) await tokenAuth(client, token);
    await register(client, username, password, email);
    for (let i = 0; i < 5; i += 1) await login(client, username, wrong);
    await tokenAuth(client, bogus);
    await logout(client);
    client.sendText(`{"type":"login","payload":{"username":"${username}","password":"${password}"`);
    await client.next();
    client.send({ type: password, payload: { password } });
    await client.next();
    const body = JSON.stringify({ username: 'secretive.john', password });
    expect((await fetch(`${node.httpUrl}/register`, { method: 'POST', body })).status).toBe(201);
    await tokenAuth(client, tokens[0]!);
    await client.close();
    await node.logLine(({ msg }) => msg === 'session.detached');
    expect((await node.stop()).code).toBe(0);

    const secrets = [password, wrong, bogus, ...tokens];
    for (const secret of secrets) {
      expect(`${node.stdout}${node.stderr}`).not.toContain(secret);
    }
    const dump = await dumpOf(fleet);
    for (const secret of [...secrets, ...tokens.map((token) => token.replaceAll('-', ''))]) {
      expect(dump.toLowerCase()).not.toContain(secret);
    }

    const log = await fleet.log();
    expectSound(log);
    expect(log.length).toBeGreaterThan(8);
    for (const text of [...secrets, username, email, 'secretive', 'argon2', '127.0.0.1']) {
      expect(JSON.stringify(log)).not.toContain(text);
    }
  });
});

/** Every key and value of the deployment. */
async function dumpOf(fleet: Fleet): Promise<string> {
  const { redis } = fleet;
  const parts: string[] = [];
  for (const key of await fleet.keys()) {
    parts.push(key, JSON.stringify(await read(key)));
  }
  expect(parts.length).toBeGreaterThan(8);
  return parts.join('\n');

  async function read(key: string): Promise<unknown> {
    switch (await redis.type(key)) {
      case 'string':
        return redis.get(key);
      case 'hash':
        return redis.hgetall(key);
      case 'set':
        return redis.smembers(key);
      case 'zset':
        return redis.zrange(key, '0', '-1');
      case 'stream':
        return redis.xrange(key, '-', '+');
      default:
        throw new Error(`${key} is of an unexpected type`);
    }
  }
}
