import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileClientValidators, compileEnvelopeValidator } from '../../src/contract/validators.js';
import { messageReader } from '../../src/protocol/read.js';

const validators = [...compileClientValidators()];
const read = messageReader(
  compileEnvelopeValidator(),
  validators.map(([type]) => type),
);

/** What a text means, in the plainest way; null if it is no message. */
function plainly(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) && typeof value.type === 'string' ? value : null;
  } catch {
    return null;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function bytesOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}

const utf8 = (text: string) => bytesOf(Buffer.from(text));

const types = fc.oneof(fc.constantFrom(...validators.map(([type]) => type)), fc.string({ unit: 'grapheme' }));
const keys = fc.constantFrom(
  'type',
  'payload',
  'username',
  'password',
  'token',
  'resume',
  '__proto__',
  'constructor',
);
const anything = fc.oneof(fc.jsonValue(), fc.dictionary(keys, fc.jsonValue()));

/** Texts that are messages, nearly messages, or not at all. */
const texts = fc.oneof(
  fc.json(),
  fc.string({ unit: 'binary' }),
  fc.tuple(types, anything).map(([type, payload]) => JSON.stringify({ type, payload })),
  fc
    .tuple(types, anything, fc.nat(60), fc.nat(4), fc.string({ maxLength: 4 }))
    .map(([type, payload, at, deleted, inserted]) => {
      const text = JSON.stringify({ type, payload });
      return text.slice(0, at) + inserted + text.slice(at + deleted);
    }),
  fc.tuple(types, fc.nat(30), fc.string({ maxLength: 1 })).map(([type, at, changed]) => {
    const text = JSON.stringify({ type });
    return text.slice(0, at) + changed + text.slice(at + 1);
  }),
  fc.tuple(types, types).map(([a, b]) => `{"type":${JSON.stringify(a)},"type":${JSON.stringify(b)}}`),
);

describe('the reader of messages', () => {
  it('takes what is an object with a string type, and nothing else, in text and in binary frames', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const expected = plainly(Buffer.from(text).toString());
        expect(read(utf8(text), false)).toEqual(expected);
        expect(read(utf8(text), true)).toEqual(expected);
      }),
      { numRuns: 20_000 },
    );
  });

  it('takes no bytes that are not UTF-8, and throws at none', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, inMessage) => {
        const frame = inMessage
          ? Buffer.concat([Buffer.from('{"type":"'), bytes, Buffer.from('"}')])
          : Buffer.from(bytes);
        const isUtf8 = Buffer.from(frame.toString()).equals(frame);
        expect(read(bytesOf(frame), true)).toEqual(isUtf8 ? plainly(frame.toString()) : null);
      }),
      { numRuns: 20_000 },
    );
  });

  it('shares nothing with the bytes that it has read', () => {
    fc.assert(
      fc.property(types, fc.string({ minLength: 1 }), (type, payload) => {
        const bytes = utf8(JSON.stringify({ type, payload }));
        const message = read(bytes, false);
        new Uint8Array(bytes).fill(0);
        expect(message).toEqual({ type, payload });
      }),
    );
  });
});

describe.each(validators)('the validator of %s', (type, isValid) => {
  it('throws at nothing, changes nothing, and lets no prototype be changed', () => {
    fc.assert(
      fc.property(fc.oneof(anything, texts.map(plainly)), (payload) => {
        const text = JSON.stringify({ type, payload });
        const message: unknown = JSON.parse(text);
        const verdict = isValid(message);
        expect(JSON.stringify(message)).toBe(text);
        expect(isValid(JSON.parse(text))).toBe(verdict);
        expect(Object.keys(Object.prototype)).toEqual([]);
      }),
      { numRuns: 2000 },
    );
  });
});
