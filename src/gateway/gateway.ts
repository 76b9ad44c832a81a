import uWebSockets, {
  type HttpRequest,
  type TemplatedApp,
  type us_listen_socket,
  type WebSocket,
} from 'uWebSockets.js';
import type { Logger } from 'pino';
import { type HttpRegister, text } from '../handlers/httpRegister.js';
import type { Frame } from '../protocol/answers.js';
import { CLOSE, SLOW_READER } from '../protocol/errors.js';
import { ClientAddresses } from './address.js';
import { Broadcast } from './broadcast.js';
import { Connection, type ConnectionRules } from './connection.js';
import { answer, type FixedAnswer, FORBIDDEN, httpRoutes, UPGRADE_REQUIRED } from './http.js';

export interface GatewayOptions {
  readonly host: string;
  /** 0: one that is free. */
  readonly port: number;
  /** Whether other processes may listen on it, too; the system spreads connections over them then. */
  readonly isShared: boolean;
  /** PEM files; null: without TLS. */
  readonly tls: { readonly certFile: string; readonly keyFile: string } | null;
  readonly trustedProxies: readonly string[];
  /** Null: any. */
  readonly allowedOrigins: ReadonlySet<string> | null;
  /** 0: any number. */
  readonly maxConnections: number;
  /** 0: any number. */
  readonly connectionsPerAddress: number;
  /** Seconds without a sign of life until a connection is dropped: 0 (never) or 8 to 960. */
  readonly idleSeconds: number;
  /** Seconds that a connection may be without a session, 0: any time. */
  readonly authSeconds: number;
  /** Unsent bytes above which a slow reader is cut off, 0: any number. */
  readonly maxBackpressureBytes: number;
  readonly rules: ConnectionRules;
  readonly register: HttpRegister;
  readonly logger: Logger;
}

interface UserData {
  readonly address: string;
  /** Missing until it is accepted. */
  connection?: Connection;
}

/** Option of uWebSockets' `listen` that it has no name for: SO_REUSEPORT. */
const LISTEN_SHARED = 0;

/** A message that is announced as longer than so many times the limit is not even read, so it can't be answered with 1009. */
const OVERSIZE = 16;

/** The WebSocket server, on uWebSockets.js. */
export class Gateway {
  /** By number: those that are open, and those that are closed but still have messages to be handled. */
  private readonly unfinished = new Map<number, Connection>();
  private openCount = 0;
  private readonly rules: ConnectionRules;
  private readonly perAddress = new Map<string, number>();
  private readonly broadcast = new Broadcast(() => this.unfinished.values());
  private readonly addresses: ClientAddresses;
  private readonly app: TemplatedApp;
  private listenSocket: us_listen_socket | null = null;
  private lastNumber = 0;
  private isAccepting = true;
  private readonly authTimer: NodeJS.Timeout | undefined;

  private constructor(private readonly options: GatewayOptions) {
    this.addresses = new ClientAddresses(options.trustedProxies);
    this.rules = {
      ...options.rules,
      finished: (connection) => {
        this.unfinished.delete(connection.number);
        options.rules.finished(connection);
      },
    };
    this.app = this.routes();
    if (options.authSeconds > 0) {
      this.authTimer = setInterval(() => this.closeUnauthenticated(), Math.min(5, options.authSeconds) * 200);
    }
  }

  /** Starts to listen. @throws Error with one clear sentence when the port can't be had */
  static async listen(options: GatewayOptions): Promise<Gateway> {
    const gateway = new Gateway(options);
    const { host, port } = options;
    const mode = options.isShared ? LISTEN_SHARED : uWebSockets.LIBUS_LISTEN_EXCLUSIVE_PORT;
    const socket = await new Promise<us_listen_socket | false>((resolve) => {
      gateway.app.listen(host, port, mode, resolve);
    });
    if (!socket) {
      gateway.close();
      throw new Error(
        `Cannot listen on ${host} port ${port}: it is taken, or not allowed; set PORT (or HOST) to another.`,
      );
    }
    gateway.listenSocket = socket;
    return gateway;
  }

  get port(): number {
    return this.listenSocket ? uWebSockets.us_socket_local_port(this.listenSocket) : 0;
  }

  /** Open connections. */
  get size(): number {
    return this.openCount;
  }

  /** The connections that are open now, or closed and still busy with what they were asked. */
  connections(): Connection[] {
    return [...this.unfinished.values()];
  }

  /** Whether a connection, by number, is handling a message. */
  isBusy(connection: number): boolean {
    return this.unfinished.get(connection)?.isBusy ?? false;
  }

  /** Sends a frame to every connection with a session. */
  publish(frame: Frame): void {
    this.broadcast.publish(frame);
  }

  /** Accepts no more connections. Those that are open stay. */
  stopListening(): void {
    this.isAccepting = false;
    clearInterval(this.authTimer);
    if (this.listenSocket) uWebSockets.us_listen_socket_close(this.listenSocket);
    this.listenSocket = null;
  }

  /** Cuts what is still open. */
  close(): void {
    this.stopListening();
    this.app.close();
  }

  private routes(): TemplatedApp {
    const { tls, idleSeconds, maxBackpressureBytes, rules, register } = this.options;
    const server = tls
      ? uWebSockets.SSLApp({ cert_file_name: tls.certFile, key_file_name: tls.keyFile })
      : uWebSockets.App();
    const app = server.ws<UserData>('/ws', {
      maxPayloadLength: rules.maxMessageBytes * OVERSIZE,
      idleTimeout: idleSeconds,
      sendPingsAutomatically: true,
      maxBackpressure: maxBackpressureBytes === 0 ? 2 ** 31 - 1 : maxBackpressureBytes,
      closeOnBackpressureLimit: 1,
      upgrade: (response, request, context) => {
        const refusal = this.refusalOf(request);
        if (refusal) {
          answer(response, refusal);
          return;
        }
        const userData: UserData = { address: this.addresses.ofRequest(response, request) };
        response.upgrade(
          userData,
          request.getHeader('sec-websocket-key'),
          request.getHeader('sec-websocket-protocol'),
          request.getHeader('sec-websocket-extensions'),
          context,
        );
      },
      open: (ws) => this.accept(ws),
      dropped: () => rules.closing(SLOW_READER),
      message: (ws, bytes, isBinary) => ws.getUserData().connection?.receive(bytes, isBinary),
      close: (ws, code) => this.forget(ws.getUserData(), code),
    });
    return httpRoutes(app, {
      register,
      addresses: this.addresses,
      isForeign: (request) => this.isForeign(request),
      maxBodyBytes: rules.maxMessageBytes,
    });
  }

  /** Why a request that looks like a WebSocket handshake is not upgraded; null if it is. */
  private refusalOf(request: HttpRequest): FixedAnswer | null {
    if (!this.isAccepting) return text('503 Service Unavailable', 'Service unavailable');
    if (this.isForeign(request)) return FORBIDDEN;
    const isHandshake =
      request.getHeader('upgrade').toLowerCase() === 'websocket' &&
      request.getHeader('sec-websocket-version') === '13';
    return isHandshake ? null : UPGRADE_REQUIRED;
  }

  /** Browsers say from which origin's page a request comes; game clients don't. */
  private isForeign(request: HttpRequest): boolean {
    const { allowedOrigins } = this.options;
    const origin = request.getHeader('origin').toLowerCase();
    return allowedOrigins !== null && origin !== '' && !allowedOrigins.has(origin);
  }

  private accept(ws: WebSocket<UserData>): void {
    const { maxConnections, connectionsPerAddress, rules, logger } = this.options;
    const userData = ws.getUserData();
    const { address } = userData;
    const fromAddress = (this.perAddress.get(address) ?? 0) + 1;
    const refusal =
      maxConnections > 0 && this.openCount >= maxConnections
        ? CLOSE.overloaded
        : connectionsPerAddress > 0 && fromAddress > connectionsPerAddress
          ? CLOSE.connections
          : null;
    if (refusal) {
      rules.closing(refusal);
      ws.end(refusal.code, refusal.reason);
      return;
    }
    this.lastNumber += 1;
    const connection = new Connection(this.lastNumber, address, ws, this.rules);
    userData.connection = connection;
    this.unfinished.set(connection.number, connection);
    this.openCount += 1;
    this.perAddress.set(address, fromAddress);
    logger.debug({ connection: connection.number, address }, 'connection opened');
  }

  private forget({ connection, address }: UserData, code: number): void {
    if (!connection) return;
    this.openCount -= 1;
    const left = this.perAddress.get(address)! - 1;
    if (left > 0) this.perAddress.set(address, left);
    else this.perAddress.delete(address);
    this.options.logger.debug({ connection: connection.number, code }, 'connection closed');
    connection.closed();
  }

  private closeUnauthenticated(): void {
    const deadline = performance.now() - this.options.authSeconds * 1000;
    for (const connection of this.unfinished.values()) {
      if (connection.isUnauthenticated && connection.unauthenticatedSince < deadline) {
        connection.close(CLOSE.unauthenticated);
      }
    }
  }
}
