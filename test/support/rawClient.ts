import { createHash, randomBytes } from 'node:crypto';
import { createConnection, type Socket } from 'node:net';
import { type Frame, FrameDecoder, Opcode } from './frames.js';
import { Inbox } from './inbox.js';

export interface RawConnectOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Bytes that go out in the same write as the request to upgrade. */
  readonly withHandshake?: Buffer;
}

const PATIENCE_MS = 5000;
const HEAD_END = '\r\n\r\n';
const KEY_SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/**
 * Opens a WebSocket connection by hand, for all that a well-behaved library doesn't do: half frames, unmasked frames,
 * fragments, broken UTF-8 (see encodeFrame()).
 * @param url `ws://host:port/path`
 * @throws when the server doesn't upgrade (the error has its answer)
 */
export async function connectRaw(url: string, options: RawConnectOptions = {}): Promise<RawClient> {
  const { hostname, port, pathname, search, host } = new URL(url);
  const key = randomBytes(16).toString('base64');
  const headers = {
    Host: host,
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': key,
    'Sec-WebSocket-Version': '13',
    ...options.headers,
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const head = [`GET ${pathname}${search} HTTP/1.1`, ...lines].join('\r\n') + HEAD_END;
  const socket = createConnection({ host: hostname, port: Number(port || 80), noDelay: true });
  socket.write(Buffer.concat([Buffer.from(head), options.withHandshake ?? Buffer.alloc(0)]));
  const [answer, rest] = await readHead(socket);
  const accept = createHash('sha1')
    .update(key + KEY_SUFFIX)
    .digest('base64');
  if (!answer.startsWith('HTTP/1.1 101 ') || !answer.includes(accept)) {
    socket.destroy();
    throw new Error(`The server did not upgrade the connection: ${answer}`);
  }
  return new RawClient(socket, rest);
}

/** A WebSocket connection at the level of bytes and frames. It answers nothing by itself, neither ping nor close. */
export class RawClient {
  /** All frames so far. */
  readonly frames: Frame[] = [];
  /** Settles when the TCP connection is closed, with the code of the server's close frame, or 1006 without one. */
  readonly closed: Promise<{ code: number; reason: string }>;

  private readonly decoder = new FrameDecoder();
  private readonly inbox = new Inbox<Frame>(
    () => this.frames.map(({ opcode, payload }) => `${opcode}:${payload}`).join(' ') || 'nothing',
  );

  constructor(
    readonly socket: Socket,
    firstBytes: Buffer,
  ) {
    this.take(firstBytes);
    socket.on('data', (chunk: Buffer) => this.take(chunk));
    socket.on('error', () => {}); // a close follows
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.inbox.close('connection closed');
        const payload = this.frames.find(({ opcode }) => opcode === Opcode.close)?.payload;
        const code = payload && (payload.length >= 2 ? payload.readUInt16BE(0) : 1005);
        resolve({ code: code ?? 1006, reason: payload?.subarray(2).toString() ?? '' });
      });
    });
    socket.resume();
  }

  /** Writes bytes as they are. */
  write(bytes: Buffer): void {
    this.socket.write(bytes);
  }

  /**
   * The next frame of any kind that was not read yet.
   * @throws when none comes within `timeoutMs`, or when the connection is closed
   */
  next(timeoutMs = PATIENCE_MS): Promise<Frame> {
    return this.inbox.next(timeoutMs);
  }

  /** Cuts the TCP connection by a reset. */
  destroy(): void {
    this.socket.resetAndDestroy();
  }

  private take(chunk: Buffer): void {
    for (const frame of this.decoder.push(chunk)) {
      this.frames.push(frame);
      this.inbox.push(frame);
    }
  }
}

/** Reads up to the end of the HTTP head; gives it and what came after it. Leaves the socket paused. */
function readHead(socket: Socket): Promise<[head: string, rest: Buffer]> {
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0);
    const fail = (error?: Error) => {
      reject(error ?? new Error(`The connection ended before the server's answer: ${bytes}`));
    };
    const collect = (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      const end = bytes.indexOf(HEAD_END);
      if (end < 0) return;
      socket.pause();
      socket.off('data', collect).off('error', fail).off('close', onClose);
      socket.setTimeout(0);
      resolve([bytes.toString('latin1', 0, end), bytes.subarray(end + HEAD_END.length)]);
    };
    const onClose = () => fail();
    socket.on('data', collect).on('error', fail).on('close', onClose);
    socket.setTimeout(PATIENCE_MS, () => socket.destroy());
  });
}
