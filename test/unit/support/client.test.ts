import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import { connect } from '../../support/client.js';
import { logout, tokenOf } from '../../support/conversation.js';
import { eventually } from '../../support/eventually.js';
import { encodeFrame, Opcode } from '../../support/frames.js';
import { connectRaw } from '../../support/rawClient.js';

let server: WebSocketServer;
let url: string;
/** What each client sends is echoed by the server, and noted here. */
let seen: { text: string; isBinary: boolean; chunk: number }[];
let chunks: number;
const peers: WebSocket[] = [];

beforeEach(async () => {
  seen = [];
  chunks = 0;
  server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
  server.on('connection', (ws, request) => {
    peers.push(ws);
    request.socket.prependListener('data', () => {
      chunks += 1;
    });
    ws.on('error', () => {});
    ws.on('message', (data: RawData, isBinary) => {
      seen.push({ text: data.toString(), isBinary, chunk: chunks });
      ws.send(data.toString());
    });
  });
  await new Promise((resolve) => server.once('listening', resolve));
  url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`;
});

afterEach(() => {
  for (const peer of peers.splice(0)) peer.terminate();
  server.close();
});

test('sends and reads frame by frame', async () => {
  const client = await connect(url);
  expect(await logout(client)).toEqual({ type: 'logout' });
  client.send({ type: 'a' });
  client.sendText('{"type":"b"}');
  client.sendBinary(Buffer.from('{"type":"c"}'));
  expect([await client.next(), await client.next(), await client.next()]).toEqual([
    { type: 'a' },
    { type: 'b' },
    { type: 'c' },
  ]);
  expect(seen.at(-1)?.isBinary).toBe(true);
  expect(client.rawFrames).toEqual(['{"type":"logout"}', '{"type":"a"}', '{"type":"b"}', '{"type":"c"}']);
  expect(client.received).toHaveLength(4);
  expect((await client.close()).code).toBe(1000);
});

test('sends several frames in one write', async () => {
  const client = await connect(url);
  client.sendTogether([{ type: 'a' }, { type: 'b', payload: 'x'.repeat(300) }, { type: 'c' }]);
  await eventually(() => client.received.length === 3);
  expect(seen.map(({ chunk }) => chunk)).toEqual([1, 1, 1]);
  client.destroy();
});

test.each([
  ['two messages in one frame', '{"type":"a"}{"type":"b"}', /not exactly one JSON text/],
  ['JSON that is no message', '[]', /no message/],
])('rejects %s', async (_, text, reason) => {
  const client = await connect(url);
  client.sendText(text);
  await expect(client.next()).rejects.toThrow(reason);
  client.destroy();
});

test('rejects a binary frame', async () => {
  const client = await connect(url);
  await eventually(() => peers.length === 1);
  peers[0]!.send(Buffer.from('{"type":"a"}'));
  await expect(client.next()).rejects.toThrow('a binary frame came');
  client.destroy();
});

test('says why no message came', async () => {
  const client = await connect(url);
  await client.request({ type: 'a' });
  await expect(client.next(10)).rejects.toThrow('nothing came within 10 ms; received so far: {"type":"a"}');
  const next = client.next();
  peers[0]!.close(1012, 'going away');
  await expect(next).rejects.toThrow('connection closed with 1012 going away');
  await expect(client.next()).rejects.toThrow('connection closed with 1012');
  expect(await client.closed).toEqual({ code: 1012, reason: 'going away' });
});

test('cuts the connection without a close frame, after what was sent if so asked', async () => {
  const codes: number[] = [];
  for (const how of ['rst', 'fin'] as const) {
    const client = await connect(url);
    await eventually(() => peers.length > codes.length);
    peers.at(-1)!.once('close', (code) => codes.push(code));
    if (how === 'fin') client.send({ type: 'last' });
    client.destroy(how);
    expect((await client.closed).code).toBe(1006);
    await eventually(() => codes.length === (how === 'rst' ? 1 : 2));
  }
  expect(codes).toEqual([1006, 1006]);
  expect(seen.map(({ text }) => text)).toEqual(['{"type":"last"}']);
});

test('the raw client sends half frames, fragments and frames along with the handshake', async () => {
  const raw = await connectRaw(url, { withHandshake: encodeFrame('{"type":"early"}') });
  expect((await raw.next()).payload.toString()).toBe('{"type":"early"}');
  const whole = encodeFrame('{"type":"halves"}');
  raw.write(whole.subarray(0, 9));
  await eventually(() => chunks >= 1);
  raw.write(whole.subarray(9));
  raw.write(encodeFrame('{"type":', { fin: false }));
  raw.write(encodeFrame('"fragments"}', { opcode: Opcode.continuation }));
  expect((await raw.next()).payload.toString()).toBe('{"type":"halves"}');
  expect((await raw.next()).payload.toString()).toBe('{"type":"fragments"}');
  raw.write(encodeFrame(`"${'x'.repeat(70_000)}"`));
  expect((await raw.next()).payload).toHaveLength(70_002);
  raw.destroy();
  expect((await raw.closed).code).toBe(1006);
});

test.each([
  ['broken UTF-8', encodeFrame(Buffer.from([0xc3, 0x28])), 1007],
  ['an unmasked frame', encodeFrame('{}', { masked: false }), 1002],
  ['reserved bits', encodeFrame('{}', { reserved: 1 }), 1002],
])('the raw client sends %s and reads the close code', async (_, bytes, code) => {
  const raw = await connectRaw(url);
  raw.write(bytes);
  expect((await raw.closed).code).toBe(code);
});

test('finds the token in an answer, and says so if there is none', () => {
  expect(tokenOf({ type: 'auth_success', payload: { username: 'a', token: 't' } })).toBe('t');
  expect(() => tokenOf({ type: 'auth_error', payload: { message: 'no' } })).toThrow('auth_error');
});
