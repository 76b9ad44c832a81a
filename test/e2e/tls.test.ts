import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Certificate, makeCertificate } from '../support/certificate.js';
import { connect } from '../support/client.js';
import type { Environment } from '../support/cliProcess.js';
import { login, logout } from '../support/conversation.js';
import { AUTH_REQUIRED, LOGGED_OUT } from '../support/expected.js';
import { Fleet } from '../support/fleet.js';
import { tempDir } from '../support/guardian.js';
import { type NodeProcess, runCli } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';

const PASSWORD = 'secret1';

describe('TLS', () => {
  let redis: RedisServer;
  let fleet: Fleet;
  let certificate: Certificate;
  let node: NodeProcess;

  beforeAll(async () => {
    certificate = makeCertificate();
    redis = await startRedis();
    fleet = new Fleet({ REDIS_URL: redis.url }, redis.client());
    node = await fleet.serve(certificate.env);
  });

  afterAll(async () => {
    await fleet?.stop();
    await redis?.stop();
  });

  const wssUrl = () => node.wsUrl.replace('ws:', 'wss:');

  async function post(username: string): Promise<[status: number | undefined, body: string]> {
    const url = `${node.httpUrl.replace('http:', 'https:')}/register`;
    const sent = request(url, { method: 'POST', ca: certificate.ca, agent: false });
    sent.end(JSON.stringify({ username, password: PASSWORD }));
    const [answer] = await once(sent, 'response');
    return [answer.statusCode, await text(answer)];
  }

  it('serves wss and https with the certificate', async () => {
    expect(await post('jane')).toEqual([
      201,
      '{"status":"success","message":"User registered successfully"}',
    ]);
    const client = await connect(wssUrl(), { ca: certificate.ca });
    expect((await login(client, 'jane', PASSWORD)).type).toBe('auth_success');
    expect(await client.request({ type: 'count' })).toMatchObject({ type: 'player_count' });
    const chat = { type: 'global_chat', payload: 'x'.repeat(500) };
    for (let i = 0; i < 5; i += 1) expect((await client.request(chat)).type).toBe('global_chat');
    client.sendTogether([{ type: 'logout' }, { type: 'logout' }]);
    expect(await client.next()).toEqual(LOGGED_OUT);
    expect(await client.next()).toEqual(AUTH_REQUIRED);
    expect(await client.close()).toMatchObject({ code: 1000 });
  });

  it('is not trusted by a client that does not know the certificate', async () => {
    await expect(connect(wssUrl())).rejects.toThrow('self-signed certificate');
  });

  it('serves nobody without it, and goes on', async () => {
    await expect(connect(node.wsUrl)).rejects.toThrow();
    await expect(fetch(`${node.httpUrl}/health`)).rejects.toThrow();
    const client = await connect(wssUrl(), { ca: certificate.ca });
    expect(await logout(client)).toEqual(AUTH_REQUIRED);
    await client.close();
  });

  it('lets operators in without it, who have a port of their own', async () => {
    expect((await fetch(`${node.adminUrl}/readyz`)).status).toBe(200);
  });

  describe('with files that cannot be used', () => {
    const serve = (env: Environment) =>
      runCli(['serve'], { ...fleet.env, HOST: '127.0.0.1', PORT: '0', ADMIN_PORT: '0', ...env });

    async function expectRefusal(env: Environment, sentence: RegExp): Promise<void> {
      const { code, stdout, stderr } = await serve(env);
      expect(stderr).toMatch(/^[^\n]+\.\n$/);
      expect(stderr).toMatch(sentence);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    }

    it.each(['TLS_CERT_FILE', 'TLS_KEY_FILE'] as const)(
      'does not start when %s is not there',
      async (name) => {
        const missing = { ...certificate.env, [name]: '/no/such/file.pem' };
        await expectRefusal(
          missing,
          /TLS_CERT_FILE and TLS_KEY_FILE cannot be used: .*\/no\/such\/file\.pem/,
        );
      },
    );

    it.each(['TLS_CERT_FILE', 'TLS_KEY_FILE'] as const)('does not start when %s is no PEM', async (name) => {
      const garbage = join(tempDir(), 'garbage.pem');
      writeFileSync(garbage, 'not PEM at all\n');
      await expectRefusal({ ...certificate.env, [name]: garbage }, /TLS_CERT_FILE and TLS_KEY_FILE cannot/);
    });

    it('does not start when the key is not that of the certificate', async () => {
      const other = makeCertificate();
      const mixed = { ...certificate.env, TLS_KEY_FILE: other.keyFile };
      await expectRefusal(mixed, /TLS_CERT_FILE and TLS_KEY_FILE cannot be used: .*mismatch/);
    });

    it.each(['TLS_CERT_FILE', 'TLS_KEY_FILE'] as const)('does not start with %s alone', async (name) => {
      await expectRefusal(
        { [name]: certificate.env[name] },
        /TLS_CERT_FILE.*TLS_KEY_FILE|TLS_KEY_FILE.*TLS_CERT_FILE/,
      );
    });
  });
});
