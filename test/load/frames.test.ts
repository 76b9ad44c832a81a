import { describe, expect, it } from 'vitest';
import { BrokenFrame, closeFrame, FrameReader, pongFrame, textFrame } from '../../src/load/frames.js';
import { encodeFrame, FrameDecoder, Opcode } from '../support/frames.js';

/** What a reader tells of bytes that come in pieces. */
function read(bytes: Buffer, pieceLength: number): string[] {
  const told: string[] = [];
  const reader = new FrameReader({
    message: (from, start, end) => told.push(`message ${from.toString('utf8', start, end)}`),
    ping: (payload) => told.push(`ping ${payload}`),
    closing: (code, reason) => told.push(`close ${code} ${reason}`),
  });
  const inbox = Buffer.alloc(pieceLength);
  for (let at = 0; at < bytes.length; at += pieceLength) {
    const length = bytes.copy(inbox, 0, at, at + pieceLength); // the next piece overwrites it
    reader.read(inbox, length);
  }
  return told;
}

const server = (payload: string | Buffer, options = {}) =>
  encodeFrame(payload, { masked: false, ...options });

describe('FrameReader', () => {
  const lengths = [0, 1, 125, 126, 300];
  const conversation = Buffer.concat([
    ...lengths.map((length) => server('x'.repeat(length))),
    server('are you there', { opcode: Opcode.ping }),
    server('', { opcode: Opcode.pong }),
    server('Hällo, ', { fin: false }),
    server('in between', { opcode: Opcode.ping }),
    server('Wörld', { opcode: Opcode.continuation }),
    server(Buffer.concat([Buffer.from([0x03, 0xf4]), Buffer.from('going away')]), { opcode: Opcode.close }),
  ]);
  const told = [
    ...lengths.map((length) => `message ${'x'.repeat(length)}`),
    'ping are you there',
    'ping in between',
    'message Hällo, Wörld',
    'close 1012 going away',
  ];

  it.each([1, 2, 3, 7, 1000, conversation.length])('reads frames in pieces of %i bytes', (length) => {
    expect(read(conversation, length)).toEqual(told);
  });

  it.each([0xffff, 0x10000, 200_000])('reads a message of %i bytes', (length) => {
    const text = 'x'.repeat(length);
    expect(read(server(text), 65_536)).toEqual([`message ${text}`]);
  });

  it('gives 1005 for a close frame without a code', () => {
    expect(read(server('', { opcode: Opcode.close }), 100)).toEqual(['close 1005 ']);
  });

  it.each([
    ['masked', encodeFrame('x')],
    ['with reserved bits', server('x', { reserved: 4 })],
    ['with an unknown opcode', server('x', { opcode: 11 })],
    ['that goes on with nothing', server('x', { opcode: Opcode.continuation })],
    ['far too large', Buffer.from([0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0])],
  ])('refuses a frame %s', (_, frame) => {
    expect(() => read(frame, frame.length)).toThrow(BrokenFrame);
  });

  it('tells of nothing once it is stopped', () => {
    const told: string[] = [];
    const reader: FrameReader = new FrameReader({
      message(bytes, start, end) {
        told.push(bytes.toString('utf8', start, end));
        reader.stop();
      },
      ping: () => {},
      closing: () => {},
    });
    const bytes = Buffer.concat([server('first'), server('second')]);
    reader.read(bytes, bytes.length);
    expect(told).toEqual(['first']);
  });
});

describe('frames of a client', () => {
  it.each([0, 125, 126, 5000])('are masked and final, with a text of %i bytes', (length) => {
    const [frame, ...more] = new FrameDecoder().push(textFrame('y'.repeat(length)));
    expect(more).toEqual([]);
    expect(frame).toMatchObject({ fin: true, reserved: 0, opcode: Opcode.text, masked: true });
    expect(frame!.payload.toString()).toBe('y'.repeat(length));
  });

  it('answer pings and say goodbye', () => {
    const [pong, close] = new FrameDecoder().push(
      Buffer.concat([pongFrame(Buffer.from('hi')), closeFrame(1000)]),
    );
    expect(pong).toMatchObject({ opcode: Opcode.pong, payload: Buffer.from('hi') });
    expect(close).toMatchObject({ opcode: Opcode.close, payload: Buffer.from([0x03, 0xe8]) });
  });
});
