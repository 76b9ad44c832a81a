import { randomBytes } from 'node:crypto';

/** Opcodes of WebSocket frames (RFC 6455, 5.2). */
export const Opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface FrameOptions {
  /** Default: text. */
  readonly opcode?: number;
  /** Whether this is the last frame of its message; default true. */
  readonly fin?: boolean;
  /** Whether the payload is masked, as a client's must be; default true. */
  readonly masked?: boolean;
  /** The three reserved bits as a number, 0–7; default 0. */
  readonly reserved?: number;
}

/** Builds the bytes of one WebSocket frame, right or wrong. */
export function encodeFrame(payload: string | Buffer, options: FrameOptions = {}): Buffer {
  const { opcode = Opcode.text, fin = true, masked = true, reserved = 0 } = options;
  const body = Buffer.from(payload);
  const first = (fin ? 0x80 : 0) | (reserved << 4) | opcode;
  const maskBit = masked ? 0x80 : 0;
  const head = [first, maskBit | body.length];
  if (body.length >= 0x10000) {
    head.splice(1, 1, maskBit | 127, 0, 0, 0, 0, ...uint(body.length, 4));
  } else if (body.length > 125) {
    head.splice(1, 1, maskBit | 126, ...uint(body.length, 2));
  }
  if (!masked) return Buffer.concat([Buffer.from(head), body]);
  const mask = randomBytes(4);
  for (let i = 0; i < body.length; i += 1) body[i]! ^= mask[i & 3]!;
  return Buffer.concat([Buffer.from(head), mask, body]);
}

/** A received frame. */
export interface Frame {
  readonly fin: boolean;
  readonly reserved: number;
  readonly opcode: number;
  readonly masked: boolean;
  /** Still masked if the frame is. */
  readonly payload: Buffer;
}

/** Cuts a stream of bytes into frames. */
export class FrameDecoder {
  private bytes: Buffer = Buffer.alloc(0);

  /** Takes the next bytes and gives the frames they complete. */
  push(chunk: Buffer): Frame[] {
    this.bytes = Buffer.concat([this.bytes, chunk]);
    const frames: Frame[] = [];
    for (let frame = this.take(); frame; frame = this.take()) frames.push(frame);
    return frames;
  }

  private take(): Frame | undefined {
    const { bytes } = this;
    if (bytes.length < 2) return undefined;
    const [first, second] = [bytes[0]!, bytes[1]!];
    const masked = (second & 0x80) !== 0;
    const short = second & 0x7f;
    const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0;
    const start = 2 + lengthBytes + (masked ? 4 : 0);
    if (bytes.length < start) return undefined;
    const length =
      lengthBytes === 8
        ? Number(bytes.readBigUInt64BE(2))
        : lengthBytes === 2
          ? bytes.readUInt16BE(2)
          : short;
    if (bytes.length < start + length) return undefined;
    this.bytes = bytes.subarray(start + length);
    return {
      fin: (first & 0x80) !== 0,
      reserved: (first >> 4) & 7,
      opcode: first & 0x0f,
      masked,
      payload: bytes.subarray(start, start + length),
    };
  }
}

function uint(value: number, byteCount: number): number[] {
  return Array.from({ length: byteCount }, (_, i) => Math.floor(value / 256 ** (byteCount - 1 - i)) % 256);
}
