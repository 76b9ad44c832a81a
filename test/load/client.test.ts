import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { Client, type ClientEvents } from '../../src/load/client.js';
import { textFrame } from '../../src/load/frames.js';
import { eventually } from '../support/eventually.js';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** What a client has told. */
class Told implements ClientEvents {
  readonly events: string[] = [];
  message(bytes: Buffer, start: number, end: number): void {
    this.events.push(`message ${bytes.toString('utf8', start, end)}`);
  }
  pinged(): void {
    this.events.push('pinged');
  }
  lost(code: number, detail: string): void {
    this.events.push(`lost ${code} ${detail}`.trim());
  }
}

/** Starts a WebSocket server of another make, and connects to it. */
async function connected(onConnection: (socket: WebSocket) => void) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  closing.push(() => server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  server.on('connection', onConnection);
  const told = new Told();
  return { told, client: await open((server.address() as AddressInfo).port, told) };
}

function open(port: number, events: ClientEvents, timeoutMs = 5000): Promise<Client> {
  const url = `ws://127.0.0.1:${port}/ws`;
  return Client.open({ url, source: '127.0.0.9', insecureTls: false, timeoutMs }, events);
}

function listening(server: Server | ReturnType<typeof createTcpServer>): Promise<number> {
  closing.push(() => server.close());
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

describe('Client', () => {
  it('sends and receives messages, from the address it was given', async () => {
    const { told, client } = await connected((socket) => {
      socket.send('{"type":"greeting"}'); // may come together with the handshake
      socket.on('message', (data) => socket.send(`${'x'.repeat(100_000)}${data}`));
    });
    client.send(textFrame('Hällo'));
    await eventually(() => told.events.length === 2);
    expect(told.events).toEqual(['message {"type":"greeting"}', `message ${'x'.repeat(100_000)}Hällo`]);
  });

  it('answers pings', async () => {
    const pongs: string[] = [];
    const { told } = await connected((socket) => {
      socket.on('pong', (data) => pongs.push(data.toString()));
      socket.ping('are you there');
    });
    await eventually(() => pongs.length > 0);
    expect(pongs).toEqual(['are you there']);
    expect(told.events).toEqual(['pinged']);
  });

  it.each([
    ['a close frame', (socket: WebSocket) => socket.close(1012, 'going away'), 'lost 1012 going away'],
    ['a close frame without a code', (socket: WebSocket) => socket.close(), 'lost 1005'],
    ['no close frame', (socket: WebSocket) => socket.terminate(), 'lost 1006'],
  ])('tells once of a connection that is closed with %s', async (_, close, expected) => {
    const { told, client } = await connected(close);
    await eventually(() => !client.isOpen);
    await new Promise(setImmediate);
    expect(told.events).toEqual([expected]);
  });

  it('says goodbye with 1000, and tells nothing of it', async () => {
    const codes: number[] = [];
    const { told, client } = await connected((socket) => socket.on('close', (code) => codes.push(code)));
    client.close();
    await eventually(() => codes.length > 0);
    expect(codes).toEqual([1000]);
    expect(told.events).toEqual([]);
  });

  it('can be cut without a word', async () => {
    const codes: number[] = [];
    const { told, client } = await connected((socket) => {
      socket.on('error', () => {});
      socket.on('close', (code) => codes.push(code));
    });
    client.reset();
    await eventually(() => codes.length > 0);
    expect(codes).toEqual([1006]);
    expect(told.events).toEqual([]);
  });

  it('says why it could not connect', async () => {
    const refusing = await listening(createServer((_, response) => response.writeHead(503).end()));
    await expect(open(refusing, new Told())).rejects.toThrow('HTTP status 503');
    const silent = await listening(createTcpServer(() => {}));
    await expect(open(silent, new Told(), 50)).rejects.toThrow('timeout');
    const curt = await listening(createTcpServer((socket) => socket.end()));
    await expect(open(curt, new Told())).rejects.toThrow('closed before the handshake was over');
    const wrong = 'HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\r\n';
    const confused = await listening(createTcpServer((socket) => socket.write(wrong)));
    await expect(open(confused, new Told())).rejects.toThrow('the handshake is answered wrongly');
  });
});
