import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { Pipe, type PipeSettings } from './pipe.js';
import { onFreePorts, PortTakenError } from './ports.js';

export type ProxyTarget = { readonly host: string; readonly port: number } | { readonly path: string };

/** Which way bytes go: from the client to the server, or back. */
export type Direction = 'toServer' | 'toClient' | 'both';

export interface CutOptions {
  /** Only replies of a connection on which a request chunk matched this since cutOnReply() was called. */
  readonly after?: (request: Buffer) => boolean;
  /** How many replies are cut before it ends; default 1. */
  readonly times?: number;
}

interface ReplyCut {
  readonly matches: (reply: Buffer) => boolean;
  readonly after: ((request: Buffer) => boolean) | undefined;
  timesLeft: number;
  /** Connections whose request has matched `after`. */
  readonly armed: WeakSet<Link>;
}

interface Link {
  readonly client: Socket;
  readonly server: Socket;
  readonly toServer: Pipe;
  readonly toClient: Pipe;
}

/** A TCP proxy between a client and a server that fails on demand. */
export class TcpProxy {
  /** How many replies cutOnReply() and dropNextReply() have dropped. */
  repliesCut = 0;
  /** How many replies discard() has dropped. */
  repliesDiscarded = 0;
  /** How many connections were ever accepted. */
  accepted = 0;

  private readonly settings: Record<'toServer' | 'toClient', PipeSettings> = {
    toServer: { delayMs: 0, held: false },
    toClient: { delayMs: 0, held: false },
  };
  private readonly links = new Set<Link>();
  private replyCut: ReplyCut | undefined;
  private isDiscarded: ((reply: Buffer) => boolean) | undefined;
  private listener: Server | undefined;

  constructor(
    readonly port: number,
    private readonly target: ProxyTarget,
  ) {}

  /** How many connections are open. */
  get connections(): number {
    return this.links.size;
  }

  /** Breaks all connections, on both sides: by a reset, or by a FIN that follows what was already forwarded. */
  cut(how: 'rst' | 'fin' = 'rst'): void {
    for (const { client, server } of this.links) {
      for (const socket of [client, server]) {
        if (how === 'rst') reset(socket);
        else socket.destroySoon();
      }
    }
  }

  /** Refuses new connections (nobody listens on the port), or accepts them again. Open ones are left alone. */
  async refuse(on: boolean): Promise<void> {
    if (on) {
      this.listener?.close();
      this.listener = undefined;
    } else if (!this.listener) {
      this.listener = await listen(this.port, (client) => this.accept(client));
    }
  }

  /** Keeps every chunk that arrives from now on for `ms` before it is forwarded. */
  delay(ms: number, direction: Direction = 'both'): void {
    for (const way of ways(direction)) this.settings[way].delayMs = ms;
  }

  /** Forwards nothing more; connections stay open and new ones are accepted, as with a host that hangs. */
  pause(direction: Direction = 'both'): void {
    for (const way of ways(direction)) {
      this.settings[way].held = true;
      for (const link of this.links) link[way].hold();
    }
  }

  /** Forwards what was held back, and what comes. */
  resume(direction: Direction = 'both'): void {
    for (const way of ways(direction)) {
      this.settings[way].held = false;
      for (const link of this.links) link[way].release();
    }
  }

  /**
   * Cuts between a command's execution and its answer: requests pass, but the next chunk from the server that matches
   * is dropped and both sides of its connection are reset. Replaces what was asked for before.
   */
  cutOnReply(matches: (reply: Buffer) => boolean, options: CutOptions = {}): void {
    this.replyCut = { matches, after: options.after, timesLeft: options.times ?? 1, armed: new WeakSet() };
  }

  /** The same for the next chunk from the server on any connection, whatever it is. */
  dropNextReply(): void {
    this.cutOnReply(() => true);
  }

  /** Takes back cutOnReply() and dropNextReply(). */
  letRepliesPass(): void {
    this.replyCut = undefined;
  }

  /** Loses the chunks from the server that match, and nobody notices; undefined: none any more. */
  discard(matches: ((reply: Buffer) => boolean) | undefined): void {
    this.isDiscarded = matches;
  }

  /** Cuts all connections and stops listening. */
  async stop(): Promise<void> {
    await this.refuse(true);
    this.cut();
  }

  private accept(client: Socket): void {
    this.accepted += 1;
    const server = createConnection({ ...this.target, allowHalfOpen: true });
    const link: Link = {
      client,
      server,
      toServer: new Pipe(client, server, this.settings.toServer, (chunk) => this.seeRequest(link, chunk)),
      toClient: new Pipe(server, client, this.settings.toClient, (chunk) => this.seeReply(link, chunk)),
    };
    this.links.add(link);
    this.couple(link, client, server, link.toServer);
    this.couple(link, server, client, link.toClient);
  }

  /** Lets the other side feel how a side ends: by an error, in order (the pipe forwards that), or cut off. */
  private couple(link: Link, socket: Socket, other: Socket, pipe: Pipe): void {
    socket.setNoDelay(true);
    socket.on('error', () => reset(other));
    socket.once('close', () => {
      if (!pipe.ended) other.destroySoon();
      if (other.closed) this.links.delete(link);
    });
  }

  private seeRequest(link: Link, chunk: Buffer): boolean {
    if (this.replyCut?.after?.(chunk)) this.replyCut.armed.add(link);
    return true;
  }

  private seeReply(link: Link, chunk: Buffer): boolean {
    if (this.isDiscarded?.(chunk)) {
      this.repliesDiscarded += 1;
      return false;
    }
    const cut = this.replyCut;
    if (!cut || (cut.after && !cut.armed.has(link)) || !cut.matches(chunk)) return true;
    this.repliesCut += 1;
    cut.timesLeft -= 1;
    if (cut.timesLeft <= 0) this.replyCut = undefined;
    reset(link.server);
    reset(link.client);
    return false;
  }
}

/** Starts a proxy on a free port of 127.0.0.1. */
export function startProxy(target: ProxyTarget): Promise<TcpProxy> {
  return onFreePorts(1, async ([port]) => {
    const proxy = new TcpProxy(port!, target);
    await proxy.refuse(false);
    return proxy;
  });
}

function ways(direction: Direction): ('toServer' | 'toClient')[] {
  return direction === 'both' ? ['toServer', 'toClient'] : [direction];
}

/** Closes a TCP connection by a reset; a unix socket knows none and is just closed. */
function reset(socket: Socket): void {
  if (socket.destroyed) return;
  if (socket.remoteFamily === undefined) socket.destroy();
  else socket.resetAndDestroy();
}

function listen(port: number, accept: (client: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true }, accept);
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(cause.code === 'EADDRINUSE' ? new PortTakenError(cause.message, { cause }) : cause);
    });
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => resolve(server));
  });
}
