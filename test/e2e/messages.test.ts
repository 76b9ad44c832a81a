import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type Backend, FORMS } from '../support/backends.js';
import { connect, TestClient } from '../support/client.js';
import { logout, tokenAuth } from '../support/conversation.js';
import {
  AUTH_REQUIRED,
  authSuccess,
  expectWellFormed,
  INVALID_MESSAGE,
  LOGGED_OUT,
  UNKNOWN_TYPE,
} from '../support/expected.js';
import { type Account, Fleet, PASSWORD } from '../support/fleet.js';
import { encodeFrame, Opcode } from '../support/frames.js';
import type { NodeProcess } from '../support/processes.js';
import { connectRaw } from '../support/rawClient.js';

const NO_MESSAGES = [
  '',
  ' ',
  'logout',
  '"logout"',
  'null',
  'true',
  '0',
  '[]',
  '[{"type":"logout"}]',
  '{}',
  '{"Type":"logout"}',
  '{"type":null}',
  '{"type":1}',
  '{"type":["logout"]}',
  '{"type":{"type":"logout"}}',
  '{"payload":{"type":"logout"}}',
  '{"__proto__":{"type":"logout"}}',
  '{"constructor":{"prototype":{"type":"logout"}}}',
  '{"type":"logout"',
  '{"type":"logout"}}',
  '{"type":"logout"}{"type":"logout"}',
  '{"type":"logout"}\n{"type":"logout"}',
  '{"type":"logout",}',
  "{'type':'logout'}",
  '{type:"logout"}',
  '{"type":"logout","payload":undefined}',
  '{"type":"logout","payload":NaN}',
  '{"type":"logout","payload":01}',
  '{"type":"logout","payload":"\t"}',
  '\ufeff{"type":"logout"}',
  '{"type":"logout"}\0',
  '['.repeat(16_000),
  '{"type":'.repeat(2000),
];

/** Types that nobody handles, some of them names of members that every object has. */
const UNKNOWN_TYPES = [
  '',
  ' logout',
  'LOGOUT',
  'logged_out',
  'message',
  'cloudevent',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  '../client/logout',
  'lo\0gout',
  '😀',
  'x'.repeat(10_000),
];

/** Of the protocol, and not there yet. */
const WITH_SESSION = [
  'logout',
  'logout_all',
  'count',
  'global_chat',
  'private_chat',
  'set_username',
  'join_queue',
  'leave_queue',
];

describe.each(FORMS)('messages, on $name', ({ start }) => {
  let backend: Backend;
  let fleet: Fleet;
  let node: NodeProcess;
  let account: Account;
  let client: TestClient;

  beforeAll(async () => {
    backend = await start();
    fleet = new Fleet(backend.env, backend.client());
    node = await fleet.serve();
    [account] = (await fleet.seed(1)) as [Account];
    client = await connect(node.wsUrl);
  });

  afterAll(async () => {
    expectWellFormed(client);
    await fleet?.stop();
    await backend?.stop();
  });

  async function authenticate(): Promise<void> {
    expect(await tokenAuth(client, account.token)).toEqual(authSuccess(account.username, account.token));
  }

  it('are answered with INVALID_MESSAGE if they are none, with a session or without', async () => {
    for (const answer of [AUTH_REQUIRED, LOGGED_OUT]) {
      for (const text of NO_MESSAGES) {
        client.sendText(text);
        expect(await client.next(), text.slice(0, 80)).toEqual(INVALID_MESSAGE);
        client.sendBinary(Buffer.from(text));
        expect(await client.next(), text.slice(0, 80)).toEqual(INVALID_MESSAGE);
      }
      expect(await logout(client)).toEqual(answer);
      await authenticate();
    }
    await logout(client);
  });

  it('need a session, unless they are there to get one', async () => {
    for (const type of [...UNKNOWN_TYPES, ...WITH_SESSION]) {
      for (const payload of [undefined, null, 'x', {}]) {
        expect(await client.request({ type, payload }), type.slice(0, 80)).toEqual(AUTH_REQUIRED);
      }
    }
  });

  it('of an unknown type are answered with UNKNOWN_TYPE, once there is a session', async () => {
    await authenticate();
    for (const type of UNKNOWN_TYPES) {
      for (const payload of [undefined, null, 'x', {}]) {
        expect(await client.request({ type, payload }), type.slice(0, 80)).toEqual(UNKNOWN_TYPE);
      }
    }
    expect(await logout(client)).toEqual(LOGGED_OUT);
  });

  it('may come in binary frames, and are answered in text frames', async () => {
    client.sendBinary(Buffer.from(JSON.stringify({ type: 'token_auth', payload: { token: account.token } })));
    expect(await client.next()).toEqual(authSuccess(account.username, account.token));
    client.sendBinary(Buffer.from('{"type":"logout","payload":"😀"}'));
    expect(await client.next()).toEqual(LOGGED_OUT);
  });

  it.each([
    ['a lone continuation byte', [0x80]],
    ['an overlong slash', [0xc0, 0xaf]],
    ['half a character', [0xe2, 0x82]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['more than Unicode has', [0xf4, 0x90, 0x80, 0x80]],
    ['a byte that no character has', [0xff]],
  ])('are none in a binary frame with %s, and cut the connection as text', async (_, bytes) => {
    const text = Buffer.concat([
      Buffer.from('{"type":"logout","payload":"'),
      Buffer.from(bytes),
      Buffer.from('"}'),
    ]);
    client.sendBinary(text);
    expect(await client.next()).toEqual(INVALID_MESSAGE);
    expect(await logout(client)).toEqual(AUTH_REQUIRED);

    const other = await connectRaw(node.wsUrl);
    other.write(encodeFrame(text));
    await other.closed;
    expect(other.frames.filter(({ opcode }) => opcode === Opcode.text)).toEqual([]);
  });

  it('may have members and key names that nobody asked for', async () => {
    const extras =
      '"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"toString":1,"extra":[{}]';
    for (const [type, payload] of [
      ['token_auth', `"token":"${account.token}"`],
      ['login', `"username":"${account.username}","password":"${PASSWORD}"`],
    ]) {
      client.sendText(`{${extras},"type":"${type}","payload":{${extras},${payload},${extras}},${extras}}`);
      expect((await client.next()).type).toBe('auth_success');
    }
    client.sendText(`{"type":"logout",${extras}}`);
    expect(await client.next()).toEqual(LOGGED_OUT);
  });

  it('get nothing from a prototype that they bring along', async () => {
    for (const type of ['login', 'token_auth', 'register']) {
      const members = { token: account.token, username: account.username, password: PASSWORD };
      client.sendText(`{"type":"${type}","payload":{"__proto__":${JSON.stringify(members)}}}`);
      expect(await client.next()).toMatchObject({
        payload: { message: expect.stringMatching(/^Invalid .* format$/) },
      });
    }
    expect(await logout(client)).toEqual(AUTH_REQUIRED);
  });

  it('mean the last of several members of one name', async () => {
    client.sendText('{"type":"no such type","type":"login","payload":1,"payload":{}}');
    expect(await client.next()).toEqual({ type: 'auth_error', payload: { message: 'Invalid login format' } });
    client.sendText('{"type":"login","type":1}');
    expect(await client.next()).toEqual(INVALID_MESSAGE);
  });

  it('may come in fragments, with a ping between them', async () => {
    const raw = await connectRaw(node.wsUrl);
    const [first, rest] = ['{"type":"log', 'out","payload":"😀"}'];
    raw.write(
      Buffer.concat([
        encodeFrame(first, { fin: false }),
        encodeFrame('still there?', { opcode: Opcode.ping }),
        encodeFrame(rest, { opcode: Opcode.continuation }),
      ]),
    );
    expect(await raw.next()).toMatchObject({ opcode: Opcode.pong, payload: Buffer.from('still there?') });
    expect(JSON.parse((await raw.next()).payload.toString())).toEqual(AUTH_REQUIRED);
    raw.destroy();
  });

  it('may come many in one write, and byte by byte', async () => {
    const frame = encodeFrame('{"type":"logout"}');
    const raw = await connectRaw(node.wsUrl);
    raw.write(Buffer.concat([frame, frame]));
    for (const byte of frame) raw.write(Buffer.from([byte]));
    for (let i = 0; i < 3; i += 1) {
      const { opcode, payload, fin, masked } = await raw.next();
      expect({ opcode, fin, masked }).toEqual({ opcode: Opcode.text, fin: true, masked: false });
      expect(JSON.parse(payload.toString())).toEqual(AUTH_REQUIRED);
    }
    raw.destroy();
  });

  it('come uncompressed from a client that offers compression and subprotocols, too', async () => {
    const ws = new WebSocket(node.wsUrl, ['openchamp', 'other'], { perMessageDeflate: true });
    const eager = new TestClient(ws);
    await once(ws, 'open');
    expect(ws.extensions).toBe('');
    expect(['', 'openchamp']).toContain(ws.protocol);
    expect(await eager.request({ type: 'logout', payload: 'x'.repeat(5000) })).toEqual(AUTH_REQUIRED);
    await eager.close();
  });
});
