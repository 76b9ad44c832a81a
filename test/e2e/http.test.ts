import { createConnection } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../support/client.js';
import { login, logout } from '../support/conversation.js';
import { expectSound, Fleet } from '../support/fleet.js';
import { countByType } from '../support/log.js';
import type { NodeProcess } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';

const PASSWORD = 'secret1';
const CREATED = '{"status":"success","message":"User registered successfully"}';
const TOO_SHORT = 'Username must be at least 3 characters and password at least 6 characters';
const BAD_BODY = 'Invalid request body';
const HOST = 'Host: localhost\r\n';

const BODIES = [
  ['', 400, BAD_BODY],
  ['{', 400, BAD_BODY],
  ['null', 400, BAD_BODY],
  ['[]', 400, BAD_BODY],
  ['"jane"', 400, BAD_BODY],
  ['username=jane&password=secret1', 400, BAD_BODY],
  ['{}', 400, BAD_BODY],
  ['{"username":"jane"}', 400, BAD_BODY],
  ['{"password":"secret1"}', 400, BAD_BODY],
  ['{"username":1,"password":"secret1"}', 400, BAD_BODY],
  ['{"username":"jane","password":null}', 400, BAD_BODY],
  ['{"username":"jane","password":"secret1","email":1}', 400, BAD_BODY],
  ['{"__proto__":{"username":"jane","password":"secret1"}}', 400, BAD_BODY],
  ['{"type":"register","payload":{"username":"jane","password":"secret1"}}', 400, BAD_BODY],
  ['[[[[['.repeat(3000), 400, BAD_BODY],
  ['{"username":"ja","password":"secret1"}', 400, TOO_SHORT],
  ['{"username":"jane","password":"short"}', 400, TOO_SHORT],
  ['{"username":"😀😀","password":"secret1"}', 400, TOO_SHORT],
  [
    '{"username":"ja\\u0000ne","password":"secret1"}',
    400,
    'Username must not contain control or invisible characters',
  ],
  ['{"username":"jane","password":"secret1","email":"x"}', 400, 'Email must be a valid address'],
  ['{"username":"jane","password":"secret1","email":"jane@example.com"}', 201, CREATED],
  ['{"username":"jane","password":"secret1"}', 409, 'Username or email already exists'],
  [
    '{"username":"other","password":"secret1","email":"JANE@example.com"}',
    409,
    'Username or email already exists',
  ],
  ['{"username":"other","password":"secret1","email":null,"more":true}', 201, CREATED],
] as const;

describe('HTTP', () => {
  let redis: RedisServer;
  let fleet: Fleet;
  let node: NodeProcess;

  beforeAll(async () => {
    redis = await startRedis({ appendonly: true });
    fleet = new Fleet({ REDIS_URL: redis.url, OC_EMAIL_VALIDATION: 'true' }, redis.client());
    node = await fleet.serve();
  });

  afterAll(async () => {
    expect(await (await fetch(`${node.httpUrl}/health`)).text()).toBe('OK');
    await fleet?.stop();
    await redis?.stop();
  });

  const bodyOf = (username: string) => JSON.stringify({ username, password: PASSWORD });

  async function post(body: NonNullable<RequestInit['body']>): Promise<[status: number, body: string]> {
    const answer = await fetch(`${node.httpUrl}/register`, {
      method: 'POST',
      body,
      duplex: 'half',
    } as RequestInit);
    return [answer.status, await answer.text()];
  }

  /** Writes pieces of bytes one after the other, and gives what comes back until `expected` requests are answered. */
  async function exchange(pieces: readonly (string | Buffer)[], expected = 1): Promise<string> {
    const socket = createConnection({ port: node.port, host: '127.0.0.1', noDelay: true });
    let received = '';
    const done = new Promise<void>((resolve, reject) => {
      socket.setTimeout(5000, () => reject(new Error(`no answer; received so far: ${received}`)));
      socket.on('error', reject);
      socket.on('close', () => resolve());
      socket.on('data', (chunk: Buffer) => {
        received += chunk.toString();
        if (received.split('HTTP/1.1 ').length > expected) resolve();
      });
    });
    for (const piece of pieces) {
      await new Promise((resolve) => socket.write(piece, resolve));
      await new Promise(setImmediate);
    }
    await done;
    socket.destroy();
    return received;
  }

  it.each([
    ['GET', '/health', 200, 'OK', {}],
    ['HEAD', '/health', 200, '', { 'content-length': '2' }],
    ['POST', '/health', 404, 'Not found', {}],
    ['GET', '/register', 405, 'Method not allowed', { allow: 'POST' }],
    ['HEAD', '/register', 405, '', { allow: 'POST' }],
    ['PUT', '/register', 405, 'Method not allowed', { allow: 'POST' }],
    ['DELETE', '/register', 405, 'Method not allowed', { allow: 'POST' }],
    ['OPTIONS', '/register', 405, 'Method not allowed', { allow: 'POST' }],
    ['GET', '/ws', 426, 'Upgrade required', { upgrade: 'websocket' }],
    ['HEAD', '/ws', 426, '', {}],
    ['POST', '/ws', 426, 'Upgrade required', { upgrade: 'websocket' }],
    ['GET', '/', 404, 'Not found', {}],
    ['HEAD', '/', 404, '', {}],
    ['GET', '/ws/', 404, 'Not found', {}],
    ['GET', '/health/x', 404, 'Not found', {}],
    ['GET', '/WS', 404, 'Not found', {}],
    ['GET', '/%2e%2e/etc/passwd', 404, 'Not found', {}],
    ['GET', `/${'x'.repeat(60)}`, 404, 'Not found', {}],
    ['GET', '/metrics', 404, 'Not found', {}],
  ] as const)('answers %s %s with %i', async (method, path, status, body, headers) => {
    const answer = await fetch(`${node.httpUrl}${path}`, { method });
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toBe('text/plain');
    expect(await answer.text()).toBe(body);
    for (const [name, value] of Object.entries(headers)) expect(answer.headers.get(name)).toBe(value);
  });

  it('has nothing behind the head that HEAD asked for', async () => {
    const head = `HEAD /health HTTP/1.1\r\n${HOST}\r\n`;
    const [first, second] = (await exchange([head + head], 2)).split('\r\n\r\n');
    expect(first).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(second).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  });

  const KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
  it.each([
    ['no Upgrade', `${KEY}Sec-WebSocket-Version: 13\r\n`],
    ['another Upgrade', `${KEY}Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n`],
    ['another version', `${KEY}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n`],
    ['no key', 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n'],
    ['half a key', 'Upgrade: websocket\r\nSec-WebSocket-Key: dGhl\r\nSec-WebSocket-Version: 13\r\n'],
  ])('answers a WebSocket handshake with %s with 426', async (_, headers) => {
    const answer = await exchange([`GET /ws HTTP/1.1\r\n${HOST}${headers}\r\n`]);
    expect(answer).toMatch(/^HTTP\/1\.1 426 /);
  });

  it('registers, or says why not', async () => {
    for (const [body, status, text] of BODIES) {
      const answer = await fetch(`${node.httpUrl}/register`, { method: 'POST', body });
      expect([answer.status, await answer.text()], body.slice(0, 80)).toEqual([status, text]);
      const type = status === 201 ? 'application/json' : 'text/plain';
      expect(answer.headers.get('content-type')).toBe(type);
    }
    expect(await post(Buffer.from('{"username":"jane\xff","password":"secret1"}', 'latin1'))).toEqual([
      400,
      BAD_BODY,
    ]);
  });

  it('begins no session and issues no token', async () => {
    const before = countByType(await fleet.log());
    expect(await post(bodyOf('quiet'))).toEqual([201, CREATED]);
    const after = countByType(await fleet.log());
    expect(after).toEqual({ ...before, 'account.registered': (before['account.registered'] ?? 0) + 1 });
    const client = await connect(node.wsUrl);
    expect((await login(client, 'quiet', PASSWORD)).type).toBe('auth_success');
    await logout(client);
    await client.close();
  });

  it('takes a body in chunks, in pieces, and behind Expect', async () => {
    const chunked = [...bodyOf('chunky')].map((letter) => `1\r\n${letter}\r\n`);
    const head = `POST /register HTTP/1.1\r\n${HOST}`;
    const slow = bodyOf('slow');
    const expectant = bodyOf('expectant');
    for (const pieces of [
      [`${head}Transfer-Encoding: chunked\r\n\r\n`, ...chunked, '0\r\n\r\n'],
      [`${head}Content-Length: ${slow.length}\r\n`, '\r\n', ...slow],
      [`${head}Expect: 100-continue\r\nContent-Length: ${expectant.length}\r\n\r\n${expectant}`],
    ]) {
      const expected = pieces[0]!.includes('Expect') ? 2 : 1;
      const answer = await exchange(pieces, expected);
      expect(answer).toContain('HTTP/1.1 201 Created\r\n');
      expect(answer.endsWith(CREATED)).toBe(true);
    }
  });

  it('answers a body that is too long, however long, and goes on', async () => {
    const atLimit = JSON.stringify({ username: 'limit', password: PASSWORD, x: '' });
    const padded = (bytes: number) => atLimit.replace('""', `"${'x'.repeat(bytes - atLimit.length)}"`);
    expect(await post(padded(16_384))).toEqual([201, CREATED]);
    for (const bytes of [16_385, 20_000, 1_000_000, 8_000_000]) {
      expect(await post(padded(bytes))).toEqual([400, BAD_BODY]);
    }
    const long = 'x'.repeat(20_000);
    const answers = await exchange(
      [
        `POST /register HTTP/1.1\r\n${HOST}Content-Length: ${long.length}\r\n\r\n${long}`,
        `GET /health HTTP/1.1\r\n${HOST}\r\n`,
      ],
      2,
    );
    expect(answers.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 400', 'HTTP/1.1 200']);
  });

  it('cuts off a body without end', async () => {
    const socket = createConnection({ port: node.port, host: '127.0.0.1' });
    const cut = new Promise((resolve) => socket.on('close', resolve).on('error', () => {}));
    socket.write(`POST /register HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`);
    const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
    const pump = () => {
      while (!socket.destroyed && socket.write(chunk));
    };
    socket.on('drain', pump);
    pump();
    await cut;
  });

  it('outlives clients that go while they are being answered', async () => {
    const requests = Array.from({ length: 20 }, (_, i) => {
      const body = bodyOf(`gone-${i}`);
      const text = `POST /register HTTP/1.1\r\n${HOST}Content-Length: ${body.length}\r\n\r\n${body}`;
      return text.slice(0, i % 2 === 0 ? text.length : text.length - 5);
    });
    await Promise.all(
      requests.map(async (text) => {
        const socket = createConnection({ port: node.port, host: '127.0.0.1' });
        await new Promise((resolve) => socket.write(text, resolve));
        socket.resetAndDestroy();
      }),
    );
    expect(await post(bodyOf('still here'))).toEqual([201, CREATED]);
    expect(node.logs.filter(({ level }) => Number(level) >= 40)).toEqual([]);
    expectSound(await fleet.log());
  });
});
