import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { eventually } from '../../support/eventually.js';
import { startProxy, type TcpProxy } from '../../support/proxy.js';
import { type RedisServer, startRedis } from '../../support/redis.js';

let redis: RedisServer;
let proxy: TcpProxy;
const opened: Redis[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

beforeEach(async () => {
  proxy = await startProxy({ host: '127.0.0.1', port: redis.port });
});
afterEach(async () => {
  for (const client of opened.splice(0)) client.disconnect();
  await proxy.stop();
});

/** A client that goes through the proxy and tries nothing twice. */
function through({ port }: TcpProxy): Redis {
  const client = new Redis({ port, host: '127.0.0.1', retryStrategy: () => null, maxRetriesPerRequest: 0 });
  client.on('error', () => {});
  opened.push(client);
  return client;
}

async function socketThrough({ port }: TcpProxy): Promise<Socket> {
  const socket = createConnection({ port, host: '127.0.0.1' });
  await once(socket, 'connect');
  return socket;
}

test('passes commands and answers, large ones too', async () => {
  const client = through(proxy);
  const large = 'x'.repeat(3_000_000);
  await client.set('large', large);
  expect(await client.get('large')).toBe(large);
  expect(proxy.connections).toBe(1);
  expect(proxy.accepted).toBe(1);
});

test('passes to a unix socket', async () => {
  const toSocket = await startProxy({ path: redis.socketPath });
  const client = through(toSocket);
  expect(await client.ping()).toBe('PONG');
  toSocket.dropNextReply();
  await expect(client.incr('executed:unix')).rejects.toThrow();
  expect(toSocket.repliesCut).toBe(1);
  expect(await redis.client().get('executed:unix')).toBe('1');
  await toSocket.stop();
});

test('drops a reply after the command was executed', async () => {
  const client = through(proxy);
  await client.ping();
  proxy.dropNextReply();
  await expect(client.incr('executed')).rejects.toThrow();
  expect(proxy.repliesCut).toBe(1);
  expect(await redis.client().get('executed')).toBe('1');
  expect(await through(proxy).ping()).toBe('PONG');
});

test('drops the reply to a certain request, on its connection only', async () => {
  const [client, other] = [through(proxy), through(proxy)];
  await Promise.all([client.ping(), other.ping()]);
  proxy.cutOnReply(() => true, { after: (request) => request.includes('marked') });
  await other.set('plain', '1');
  await client.set('plain', '1');
  await expect(client.set('marked', '1')).rejects.toThrow();
  expect(await other.get('marked')).toBe('1');
  expect(proxy.repliesCut).toBe(1);
});

test('drops as many matching replies as it is told', async () => {
  proxy.cutOnReply((reply) => reply.includes('wanted'), { times: 2 });
  for (const cut of [1, 2]) {
    await expect(through(proxy).echo('wanted')).rejects.toThrow();
    expect(proxy.repliesCut).toBe(cut);
  }
  const client = through(proxy);
  expect(await client.echo('wanted')).toBe('wanted');
});

test.each([
  ['rst', 'ECONNRESET'],
  ['fin', undefined],
] as const)('cuts connections by %s', async (how, code) => {
  const socket = await socketThrough(proxy);
  await eventually(() => proxy.connections === 1);
  let error: NodeJS.ErrnoException | undefined;
  socket.on('error', (cause) => {
    error = cause;
  });
  socket.resume();
  const closed = new Promise((resolve) => socket.once('close', resolve));
  proxy.cut(how);
  await closed;
  expect(error?.code).toBe(code);
  await eventually(() => proxy.connections === 0);
});

test('refuses new connections and leaves open ones alone', async () => {
  const client = through(proxy);
  await client.ping();
  await proxy.refuse(true);
  await expect(socketThrough(proxy)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  expect(await client.ping()).toBe('PONG');
  await proxy.refuse(false);
  expect(await through(proxy).ping()).toBe('PONG');
});

test('delays one direction and keeps the order', async () => {
  const client = through(proxy);
  await client.ping();
  proxy.delay(60, 'toClient');
  const start = performance.now();
  const first = client.echo('1');
  await eventually(() => performance.now() - start > 20);
  proxy.delay(0);
  expect(await Promise.all([first, client.echo('2')])).toEqual(['1', '2']);
  expect(performance.now() - start).toBeGreaterThanOrEqual(59);
});

test('holds everything while paused, and loses nothing', async () => {
  const client = through(proxy);
  await client.ping();
  proxy.pause('toClient');
  let answered = false;
  const answer = client.incr('held').then((value) => {
    answered = true;
    return value;
  });
  const direct = redis.client();
  await eventually(async () => (await direct.get('held')) === '1');
  expect(answered).toBe(false);
  proxy.resume();
  expect(await answer).toBe(1);
});

test('passes on a half-closed connection until the answer is through', async () => {
  const socket = await socketThrough(proxy);
  socket.end('PING\r\n');
  const [chunk] = await once(socket, 'data');
  expect(String(chunk)).toBe('+PONG\r\n');
  socket.destroy();
});

test('forwards what is delayed when both sides have ended', async () => {
  proxy.delay(50, 'toClient');
  const socket = await socketThrough(proxy);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.end('PING\r\nQUIT\r\n');
  await once(socket, 'end');
  expect(Buffer.concat(chunks).toString()).toBe('+PONG\r\n+OK\r\n');
  await eventually(() => proxy.connections === 0);
});

test('breaks a connection whose server is away', async () => {
  const away = await startRedis();
  const toAway = await startProxy({ host: '127.0.0.1', port: away.port });
  await away.stop();
  const socket = await socketThrough(toAway);
  await expect(once(socket, 'close')).rejects.toMatchObject({ code: 'ECONNRESET' });
  await toAway.stop();
});
