import { createHash, randomBytes } from 'node:crypto';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { BrokenFrame, closeFrame, FrameReader, pongFrame } from './frames.js';

/** Where and how a client connects. */
export interface Endpoint {
  /** `ws://host:port/path` or `wss://…`. */
  readonly url: string;
  /** Address to connect from; null: the system's choice. */
  readonly source: string | null;
  /** Whether any certificate is good enough. */
  readonly insecureTls: boolean;
  /** How long the connection and its handshake may take. */
  readonly timeoutMs: number;
}

/** What a client tells its owner. */
export interface ClientEvents {
  /** A message is in `bytes` from `start` until before `end`, during the call only. */
  message(bytes: Buffer, start: number, end: number): void;
  /** A ping has come and is answered. */
  pinged(): void;
  /** The connection is gone, and its owner has not asked for it. 1006: without a close frame. */
  lost(code: number, detail: string): void;
}

/** The connection could not be made. The message says why, without addresses, so that equal reasons are equal. */
export class ConnectFailed extends Error {}

/** All sockets read into one buffer: what is read is dealt with before anything else is read. */
const INBOX = Buffer.allocUnsafe(64 * 1024);

/** The key and its answer (RFC 6455, 4.2.2) may be the same for all connections of a process. */
const KEY = randomBytes(16).toString('base64');
const ACCEPT = createHash('sha1').update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');

const MAX_RESPONSE_BYTES = 16 * 1024;

/**
 * A WebSocket client (RFC 6455) that costs little: it allocates nothing for a message that is read, and sends frames that
 * were made before.
 */
export class Client {
  private readonly reader: FrameReader;
  private isOver = false;

  private constructor(
    private readonly socket: Socket,
    private readonly events: ClientEvents,
  ) {
    this.reader = new FrameReader({
      message: (bytes, start, end) => events.message(bytes, start, end),
      ping: (payload) => {
        this.send(pongFrame(payload));
        events.pinged();
      },
      closing: (code, reason) => {
        socket.end(closeFrame(code === 1005 ? 1000 : code));
        this.over(code, reason);
      },
    });
  }

  /**
   * Connects and does the handshake.
   * @throws ConnectFailed
   */
  static open(endpoint: Endpoint, events: ClientEvents): Promise<Client> {
    return new Promise((resolve, reject) => {
      const url = new URL(endpoint.url);
      let response: Buffer = Buffer.alloc(0);
      let client: Client | null = null;
      const fail = (reason: string) => {
        clearTimeout(timer);
        socket.destroy();
        reject(new ConnectFailed(reason));
      };
      const timer = setTimeout(() => fail('timeout'), endpoint.timeoutMs);
      const receive = (length: number): boolean => {
        if (client) {
          client.read(INBOX, length);
          return true;
        }
        response = Buffer.concat([response, INBOX.subarray(0, length)]);
        const end = response.indexOf('\r\n\r\n');
        if (end < 0) {
          if (response.length > MAX_RESPONSE_BYTES) fail('the answer is no HTTP response');
          return true;
        }
        const problem = refusal(response.toString('latin1', 0, end));
        if (problem) {
          fail(problem);
          return true;
        }
        clearTimeout(timer);
        client = new Client(socket, events);
        resolve(client);
        const rest = Buffer.from(response.subarray(end + 4));
        const opened = client;
        if (rest.length > 0) queueMicrotask(() => opened.read(rest, rest.length));
        return true;
      };
      const socket = openSocket(url, endpoint, receive);
      socket.on('error', (error: NodeJS.ErrnoException) => {
        if (client) client.over(1006, error.code ?? error.message);
        else fail(error.code ?? error.message);
      });
      socket.on('close', () => {
        if (client) client.over(1006, '');
        else fail('closed before the handshake was over');
      });
      socket.once(url.protocol === 'wss:' ? 'secureConnect' : 'connect', () =>
        socket.write(upgradeRequest(url)),
      );
    });
  }

  get isOpen(): boolean {
    return !this.isOver;
  }

  /** Sends a frame, see `textFrame`; nothing when the connection is gone. */
  send(frame: Buffer): void {
    if (!this.isOver) this.socket.write(frame);
  }

  /** Cuts the connection without a word, as a crash does; with a reset, unless it is encrypted. */
  reset(): void {
    this.isOver = true;
    this.reader.stop();
    if (this.socket instanceof TLSSocket) this.socket.destroy();
    else this.socket.resetAndDestroy();
  }

  /** Says goodbye; the server is to close the connection, so that the port here is free at once. */
  close(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.reader.stop();
    this.socket.write(closeFrame(1000));
  }

  private read(bytes: Buffer, length: number): void {
    try {
      this.reader.read(bytes, length);
    } catch (error) {
      if (!(error instanceof BrokenFrame)) throw error;
      this.socket.destroy();
      this.over(1002, `broken frame, ${error.message}`);
    }
  }

  private over(code: number, detail: string): void {
    if (this.isOver) return;
    this.isOver = true;
    this.reader.stop();
    this.events.lost(code, detail);
  }
}

function openSocket(url: URL, endpoint: Endpoint, receive: (length: number) => boolean): Socket {
  const isTls = url.protocol === 'wss:';
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const options = {
    host,
    port: Number(url.port || (isTls ? 443 : 80)),
    noDelay: true,
    ...(endpoint.source !== null && { localAddress: endpoint.source }),
    onread: { buffer: INBOX, callback: receive },
  };
  if (!isTls) return connectPlain(options);
  return connectTls({ ...options, rejectUnauthorized: !endpoint.insecureTls });
}

function upgradeRequest(url: URL): string {
  return [
    `GET ${url.pathname}${url.search} HTTP/1.1`,
    `Host: ${url.host}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${KEY}`,
    '\r\n',
  ].join('\r\n');
}

/** Why a response to the handshake is not the right one; null: it is. */
function refusal(response: string): string | null {
  const [statusLine = '', ...headers] = response.split('\r\n');
  const status = /^HTTP\/1\.1 (\d{3})/.exec(statusLine)?.[1];
  if (status !== '101') return status ? `HTTP status ${status}` : 'the answer is no HTTP response';
  const accept = headers.find((header) => /^sec-websocket-accept:/i.test(header));
  return accept?.slice(accept.indexOf(':') + 1).trim() === ACCEPT
    ? null
    : 'the handshake is answered wrongly';
}
