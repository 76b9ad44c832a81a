import { connect } from 'node:net';
import { Redis } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import { type RedisServer, startRedis, startRedisOn } from '../../support/redis.js';

const servers: RedisServer[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function started(...options: Parameters<typeof startRedis>): Promise<RedisServer> {
  const server = await startRedis(...options);
  servers.push(server);
  return server;
}

test('answers on its port and on its unix socket', async () => {
  const server = await started({ args: ['--maxmemory', '10mb'] });
  await server.client().set('key', 'value');
  const overSocket = new Redis({ path: server.socketPath });
  expect(await overSocket.get('key')).toBe('value');
  expect(await overSocket.config('GET', 'maxmemory')).toEqual(['maxmemory', String(10 * 1024 * 1024)]);
  expect(await overSocket.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction']);
  overSocket.disconnect();
});

test('servers started together have ports of their own', async () => {
  const together = await Promise.all(Array.from({ length: 5 }, () => started()));
  expect(new Set(together.map(({ port }) => port)).size).toBe(5);
});

test('a restart keeps the port, and the data of an append-only file even after SIGKILL', async () => {
  const server = await started({ appendonly: true, args: ['--appendfsync', 'always'] });
  const { port, pid } = server;
  const client = server.client();
  await client.set('key', 'value');
  await server.kill('SIGKILL');
  await server.restart();
  expect(server.port).toBe(port);
  expect(server.pid).not.toBe(pid);
  expect(await client.get('key')).toBe('value');
});

test('a paused server answers only after it is resumed', async () => {
  const server = await started();
  const client = server.client();
  await client.ping();
  await server.pause();
  const socket = connect(server.port, '127.0.0.1');
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk;
  });
  socket.write('PING\r\n');
  const pong = client.ping();
  expect(await Promise.race([pong, new Promise((resolve) => setTimeout(resolve, 50, 'silence'))])).toBe(
    'silence',
  );
  expect(answer).toBe('');
  server.resume();
  expect(await pong).toBe('PONG');
  socket.destroy();
});

test('says that a port is taken', async () => {
  const { port } = await started();
  await expect(startRedisOn(port)).rejects.toMatchObject({ name: 'PortTakenError' });
});

test('says what is wrong with a configuration', async () => {
  await expect(startRedis({ args: ['--nonsense', '1'] })).rejects.toThrow('nonsense');
});
