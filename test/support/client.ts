import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import { encodeFrame } from './frames.js';
import { Inbox } from './inbox.js';

/** A message of the server. */
export interface Message {
  readonly type: string;
  readonly payload?: unknown;
}

export interface ConnectOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Address to connect from, such as 127.0.0.2. */
  readonly localAddress?: string;
  /** Certificate to trust, with wss. */
  readonly ca?: Buffer;
  /** Whether to offer permessage-deflate; default false. */
  readonly perMessageDeflate?: boolean;
  /** Whether pings are answered; default true. */
  readonly autoPong?: boolean;
  /** Whether chat is not to be heard. */
  readonly isDeaf?: boolean;
}

export interface CloseInfo {
  readonly code: number;
  readonly reason: string;
}

/**
 * Opens a WebSocket connection.
 * @param url `ws://…/ws` or `wss://…/ws`
 * @throws when the server refuses it (the error names the HTTP status)
 */
export async function connect(
  url: string,
  { isDeaf = false, ...options }: ConnectOptions = {},
): Promise<TestClient> {
  const ws = new WebSocket(url, { perMessageDeflate: false, handshakeTimeout: PATIENCE_MS, ...options });
  const client = new TestClient(ws, isDeaf);
  await new Promise<void>((resolve, reject) => {
    ws.once('open', resolve);
    ws.once('error', reject);
  });
  return client;
}

/** How long an answer may take by default, in ms. */
const PATIENCE_MS = 5000;

/** A game client that looks at every frame. */
export class TestClient {
  /** All messages so far, read by next() or not. */
  readonly received: Message[] = [];
  /** The text of every frame so far. */
  readonly rawFrames: string[] = [];
  /** Settles when the connection is closed, by whomever. 1006: without a close frame. */
  readonly closed: Promise<CloseInfo>;

  private readonly inbox = new Inbox<Message | Error>(() => this.rawFrames.slice(-5).join(' ') || 'nothing');

  constructor(
    /** The connection itself, for what this class doesn't offer. */
    readonly ws: WebSocket,
    private readonly isDeaf = false,
  ) {
    let problem = '';
    ws.on('error', (error) => {
      problem = `, ${error.message}`;
    });
    ws.on('message', (data: Buffer, isBinary) => this.take(data.toString(), isBinary));
    this.closed = new Promise((resolve) => {
      ws.once('close', (code, reason) => {
        this.inbox.close(`connection closed with ${code} ${reason}${problem}`);
        resolve({ code, reason: reason.toString() });
      });
    });
  }

  /** Sends a value as JSON, in a frame of its own. */
  send(value: unknown): void {
    this.sendText(JSON.stringify(value));
  }

  sendText(text: string): void {
    this.ws.send(text);
  }

  sendBinary(bytes: Buffer): void {
    this.ws.send(bytes, { binary: true });
  }

  /** Sends several values, each in a frame of its own, in one write to the socket. */
  sendTogether(values: readonly unknown[]): void {
    this.writeRaw(Buffer.concat(values.map((value) => encodeFrame(JSON.stringify(value)))));
  }

  /** Writes bytes to the socket as they are; see encodeFrame(). */
  writeRaw(bytes: Buffer): void {
    this.socket.write(bytes);
  }

  /**
   * The next message that was not read yet.
   * @throws when none comes within `timeoutMs`, when the connection is closed, and when what came is not exactly one
   *   message in a text frame
   */
  async next(timeoutMs = PATIENCE_MS): Promise<Message> {
    const message = await this.inbox.next(timeoutMs);
    if (message instanceof Error) throw message;
    return message;
  }

  /** Sends a value and gives the next message. */
  request(value: unknown, timeoutMs?: number): Promise<Message> {
    this.send(value);
    return this.next(timeoutMs);
  }

  /** Closes the connection by the closing handshake, and waits for its end. */
  async close(code = 1000): Promise<CloseInfo> {
    this.ws.close(code);
    return this.closed;
  }

  /**
   * Cuts the TCP connection without a closing handshake. `rst`: at once, and what the server has not read is lost;
   * `fin`: after what was sent.
   */
  destroy(how: 'rst' | 'fin' = 'rst'): void {
    if (how === 'rst') this.socket.resetAndDestroy();
    else this.socket.destroySoon();
  }

  private get socket(): Socket {
    return Reflect.get(this.ws, '_socket') as Socket;
  }

  private take(text: string, isBinary: boolean): void {
    this.rawFrames.push(text);
    if (this.isDeaf && text.startsWith('{"type":"global_chat"')) return;
    const message = isBinary ? new Error(`a binary frame came: ${text}`) : parse(text);
    if (!(message instanceof Error)) this.received.push(message);
    this.inbox.push(message);
  }
}

function parse(text: string): Message | Error {
  try {
    const value: unknown = JSON.parse(text);
    if (value !== null && typeof value === 'object' && 'type' in value && typeof value.type === 'string') {
      return value as Message;
    }
    return new Error(`a frame is JSON but no message: ${text}`);
  } catch (cause) {
    return new Error(`a frame is not exactly one JSON text: ${text}`, { cause });
  }
}
