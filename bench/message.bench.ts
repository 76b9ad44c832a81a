import { bench, describe } from 'vitest';
import { compileClientValidators, compileEnvelopeValidator } from '../src/contract/validators.js';
import { messageReader } from '../src/protocol/read.js';

const validators = compileClientValidators();
const read = messageReader(compileEnvelopeValidator(), validators.keys());

function bytesOf(text: string): ArrayBuffer {
  const { buffer, byteOffset, byteLength } = Buffer.from(text);
  return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
}

describe('reading and validating a message', () => {
  const messages = {
    logout: '{"type":"logout"}',
    'logout, spaced': '{ "type": "logout" }',
    token_auth: '{"type":"token_auth","payload":{"token":"550e8400-e29b-41d4-a716-446655440000"}}',
    global_chat: `{"type":"global_chat","payload":"${'a word and another '.repeat(5)}"}`,
    'no message': '{"type":',
  };
  for (const [name, text] of Object.entries(messages)) {
    const bytes = bytesOf(text);
    bench(name, () => {
      const message = read(bytes, false);
      if (message) validators.get(message.type)?.(message);
    });
  }
});
