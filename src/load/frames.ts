/** Opcodes of WebSocket frames (RFC 6455, 5.2). */
const CONTINUATION = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

const FINAL = 0x80;
const RESERVED = 0x70;
const MASKED = 0x80;
const LENGTH_16 = 126;
const LENGTH_64 = 127;

/** The close code of a close frame that names none. */
const NO_CODE = 1005;

/** The largest message that is read, in bytes. */
const MAX_MESSAGE_BYTES = 1 << 20;

/**
 * The frame of a text message, ready to be sent as often as wanted. Its mask is zero, so its text can be changed in place:
 * masks protect proxies from the scripts of web pages, and there are none here.
 */
export function textFrame(text: string): Buffer {
  return clientFrame(TEXT, Buffer.from(text));
}

/** The answer to a ping. */
export function pongFrame(payload: Buffer): Buffer {
  return clientFrame(PONG, payload);
}

/** A close frame. @param code such as 1000 */
export function closeFrame(code: number): Buffer {
  return clientFrame(CLOSE, Buffer.from([code >> 8, code & 0xff]));
}

function clientFrame(opcode: number, payload: Buffer): Buffer {
  const { length } = payload;
  const head =
    length < LENGTH_16
      ? [FINAL | opcode, MASKED | length]
      : [FINAL | opcode, MASKED | LENGTH_16, length >> 8, length & 0xff];
  if (length > 0xffff) throw new RangeError(`A message of ${length} bytes is longer than the tool can send.`);
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), payload]);
}

/** What a server sends. Bytes are valid during the call only. */
export interface FrameEvents {
  /** A message is in `bytes` from `start` until before `end`. */
  message(bytes: Buffer, start: number, end: number): void;
  ping(payload: Buffer): void;
  /** A close frame; 1005 when it names no code. */
  closing(code: number, reason: string): void;
}

/** The bytes are no WebSocket frames that a server may send. */
export class BrokenFrame extends Error {}

/** Cuts what a server sends into messages, in whatever pieces it comes. Copies only what is incomplete. */
export class FrameReader {
  /** The beginning of a frame whose end has not come yet. */
  private kept: Buffer | null = null;
  /** Parts of a message that came in several frames so far. */
  private parts: Buffer[] = [];
  private isStopped = false;

  constructor(private readonly events: FrameEvents) {}

  /**
   * Takes the next bytes.
   * @param length how many of `chunk` are meant, from its beginning
   * @throws BrokenFrame
   */
  read(chunk: Buffer, length: number): void {
    let bytes = chunk;
    let end = length;
    if (this.kept) {
      bytes = Buffer.concat([this.kept, chunk.subarray(0, length)]);
      end = bytes.length;
      this.kept = null;
    }
    let position = 0;
    while (!this.isStopped) {
      const next = this.frame(bytes, position, end);
      if (next === position) break;
      position = next;
    }
    if (position < end && !this.isStopped) this.kept = Buffer.from(bytes.subarray(position, end));
  }

  /** Tells of nothing more, not even of what is in the bytes that are being read. */
  stop(): void {
    this.isStopped = true;
  }

  /** Reads one frame. @returns where the next one begins, or `start` if this one is incomplete */
  private frame(bytes: Buffer, start: number, end: number): number {
    if (end - start < 2) return start;
    const first = bytes[start]!;
    const second = bytes[start + 1]!;
    if (first & RESERVED) throw new BrokenFrame('reserved bits are set');
    if (second & MASKED) throw new BrokenFrame('it is masked');
    let length = second;
    let from = start + 2;
    if (second === LENGTH_16) {
      if (end - start < 4) return start;
      length = bytes.readUInt16BE(from);
      from += 2;
    } else if (second === LENGTH_64) {
      if (end - start < 10) return start;
      length = bytes.readUInt32BE(from) * 2 ** 32 + bytes.readUInt32BE(from + 4);
      from += 8;
    }
    if (length > MAX_MESSAGE_BYTES) throw new BrokenFrame(`it has ${length} bytes`);
    if (end - from < length) return start;
    this.deliver(first, bytes, from, from + length);
    return from + length;
  }

  private deliver(first: number, bytes: Buffer, start: number, end: number): void {
    const opcode = first & 0x0f;
    if (opcode === TEXT && first & FINAL) {
      this.events.message(bytes, start, end);
    } else if (opcode <= BINARY) {
      this.part(opcode, (first & FINAL) !== 0, bytes.subarray(start, end));
    } else if (opcode === PING) {
      this.events.ping(Buffer.from(bytes.subarray(start, end)));
    } else if (opcode === CLOSE) {
      const code = end - start >= 2 ? bytes.readUInt16BE(start) : NO_CODE;
      this.events.closing(code, bytes.toString('utf8', start + 2, Math.max(start + 2, end)));
    } else if (opcode !== PONG) {
      throw new BrokenFrame(`its opcode is ${opcode}`);
    }
  }

  private part(opcode: number, isLast: boolean, part: Buffer): void {
    if ((opcode === CONTINUATION) !== this.parts.length > 0) {
      throw new BrokenFrame('a message of several frames is out of order');
    }
    this.parts.push(Buffer.from(part));
    if (!isLast) return;
    const whole = Buffer.concat(this.parts);
    this.parts = [];
    this.events.message(whole, 0, whole.length);
  }
}
