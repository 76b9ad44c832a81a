import { encodeFrame, Opcode } from './frames.js';
import type { Random } from './random.js';

/** What a client sends that should not, and what the protocol promises for it. */
export interface Malformed {
  readonly name: string;
  readonly bytes: Buffer;
  /** What the answer must match, if the connection goes on. */
  readonly answer?: RegExp;
  /** The connection is closed: with this code, or with any. */
  readonly closes?: number | 'any';
  /** Nothing is promised but that nobody else is harmed: the client goes. */
  readonly leaves?: true;
}

/** What the server of a test has as MAX_MESSAGE_BYTES. */
export const MAX_BYTES = 16_384;

const INVALID = /"INVALID_MESSAGE"/;
const AUTH = /"AUTH_REQUIRED"/;
const LOGIN = /^\{"type":"auth_error","payload":\{"message":"Invalid login format"\}\}$/;
const TOKEN = /^\{"type":"auth_error","payload":\{"message":"Invalid token format"\}\}$/;
const REGISTRATION = /"Invalid registration format","code":"REGISTRATION_ERROR"/;

const BROKEN_UTF8: readonly [readonly number[], ...(readonly number[])[]] = [
  [0x80],
  [0xc0, 0xaf],
  [0xe2, 0x82],
  [0xed, 0xa0, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
  [0xff],
];
const ODD_VALUES = [
  'null',
  '0',
  '-0',
  '1e400',
  '-1e-400',
  '9'.repeat(400),
  'true',
  '""',
  '[]',
  '{}',
  '[{}]',
] as const;
const PROTOTYPE_KEYS = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'valueOf',
] as const;

type Maker = (random: Random) => Malformed;

/** Messages that are answered with an error; the connection goes on. */
const ANSWERED: readonly [Maker, ...Maker[]] = [
  (random) => binary('random bytes', random.bytes(random.below(200)), INVALID),
  (random) => {
    const text = `{"type":"logout","payload":"`;
    const bytes = Buffer.concat([Buffer.from(text), broken(random), Buffer.from('"}')]);
    return binary('broken UTF-8', bytes, INVALID);
  },
  (random) => {
    const depth = 1 + random.below(4000);
    return text('deep nesting', '['.repeat(depth) + ']'.repeat(random.below(2) * depth), INVALID);
  },
  (random) => {
    const depth = 1 + random.below(2000);
    return text(
      'deep payload',
      `{"type":"logout","payload":${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}}`,
      AUTH,
    );
  },
  (random) => text('odd type', `{"type":${random.pick(ODD_VALUES)}}`.replace('""', '[""]'), INVALID),
  (random) => text('odd value', random.pick(ODD_VALUES), INVALID),
  (random) => text('odd login', `{"type":"login","payload":${random.pick(ODD_VALUES)}}`, LOGIN),
  (random) => {
    const value = random.pick(ODD_VALUES);
    return text(
      'odd password',
      `{"type":"login","payload":{"username":"jane.doe","password":${value}}}`,
      LOGIN,
    );
  },
  (random) =>
    text('odd token', `{"type":"token_auth","payload":{"token":${random.pick(ODD_VALUES)}}}`, TOKEN),
  (random) =>
    text('odd registration', `{"type":"register","payload":${random.pick(ODD_VALUES)}}`, REGISTRATION),
  (random) => text('prototype type', JSON.stringify({ type: random.pick(PROTOTYPE_KEYS) }), AUTH),
  (random) => {
    const key = random.pick(PROTOTYPE_KEYS);
    return text('prototype key', `{"${key}":{"type":"logout","polluted":1}}`, INVALID);
  },
  (random) => {
    const message = '{"type":"logout","payload":{"a":[1,2,"\\u00e9"]}}';
    return text('half a message', message.slice(0, random.below(message.length)), INVALID);
  },
  (random) => {
    const message = Buffer.from('{"type":"logout","payload":{"a":[1,2,"b"]}}');
    message[random.below(message.length)] = 0x20 + random.below(0x5f);
    return text('a wrong character', message, /"(INVALID_MESSAGE|AUTH_REQUIRED)"/);
  },
  (random) => {
    const count = 2 + random.below(4);
    const frames = Array.from({ length: count }, (_, i) =>
      encodeFrame('[', { opcode: i === 0 ? Opcode.text : Opcode.continuation, fin: i === count - 1 }),
    );
    return { name: 'fragments', bytes: Buffer.concat(frames), answer: INVALID };
  },
];

/** What ends the connection, by one side or the other. */
const ENDING: readonly [Maker, ...Maker[]] = [
  (random) => closing('reserved bits', encodeFrame('{}', { reserved: 1 + random.below(7) })),
  (random) =>
    closing(
      'unknown opcode',
      encodeFrame('{}', { opcode: random.pick([3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) }),
    ),
  (random) => closing('broken UTF-8 as text', encodeFrame(broken(random))),
  (random) => closing('announced too long', announced(2 ** (20 + random.below(30)))),
  () => closing('continuation of nothing', encodeFrame('{}', { opcode: Opcode.continuation })),
  () =>
    closing('message within a message', Buffer.concat([encodeFrame('{', { fin: false }), encodeFrame('{}')])),
  () => closing('fragmented ping', encodeFrame('', { opcode: Opcode.ping, fin: false })),
  () => closing('long ping', encodeFrame('x'.repeat(126), { opcode: Opcode.ping })),
  (random) =>
    closing('odd close frame', encodeFrame(random.bytes(random.below(20)), { opcode: Opcode.close })),
  (random) => {
    const bytes = encodeFrame('x'.repeat(MAX_BYTES + 1 + random.below(1000)));
    return { name: 'too long', bytes, closes: 1009 };
  },
  (random) => {
    const frame = encodeFrame('{"type":"logout","payload":"half a frame"}');
    return {
      name: 'half a frame',
      bytes: frame.subarray(0, 1 + random.below(frame.length - 1)),
      leaves: true,
    };
  },
  () => ({ name: 'unmasked', bytes: encodeFrame('{"type":"logout"}', { masked: false }), leaves: true }),
  () => ({ name: 'sudden end', bytes: Buffer.alloc(0), leaves: true }),
];

/** A message that is answered with an error. */
export function answeredMalformed(random: Random): Malformed {
  return random.pick(ANSWERED)(random);
}

/** What ends a connection. */
export function endingMalformed(random: Random): Malformed {
  return random.pick(ENDING)(random);
}

function text(name: string, content: string | Buffer, answer: RegExp): Malformed {
  return { name, bytes: encodeFrame(content), answer };
}

function binary(name: string, content: Buffer, answer: RegExp): Malformed {
  return { name, bytes: encodeFrame(content, { opcode: Opcode.binary }), answer };
}

function closing(name: string, bytes: Buffer): Malformed {
  return { name, bytes, closes: 'any' };
}

function broken(random: Random): Buffer {
  return Buffer.from(random.pick(BROKEN_UTF8));
}

/** The head of a frame that says how long it is going to be. */
function announced(length: number): Buffer {
  const head = Buffer.alloc(14);
  head.writeUInt16BE(0x81ff);
  head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}
