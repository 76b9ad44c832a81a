import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import {
  type Held,
  type Launched,
  type Launcher,
  type LaunchRequest,
  NoRoom,
  type Place,
} from './launcher.js';
import type { Ports } from './ports.js';

/** Somebody else has the port. */
export class PortTaken extends Error {}

/** Runs game servers on this machine, on ports that it is given. */
export interface Runner {
  /** Starts one. @returns its id @throws PortTaken; Error with one clear sentence */
  start(request: LaunchRequest, port: number): Promise<string>;
  /** See `Launcher`. */
  ended(id: string, signal: AbortSignal): Promise<void>;
  stop(id: string): Promise<void>;
}

/** Game servers on this machine, each on a port of its pool. Any worker here can watch over them. */
export class LocalLauncher implements Launcher {
  /**
   * @param scope name of this machine
   * @param address where players reach this machine
   */
  constructor(
    readonly scope: string,
    private readonly address: string,
    private readonly ports: Ports,
    private readonly runner: Runner,
  ) {}

  async start(request: LaunchRequest): Promise<Launched> {
    const { match } = request;
    const others: number[] = []; // kept until the end, so that none is tried twice
    try {
      for (;;) {
        const port = await this.ports.take(match);
        if (port === null) throw new NoRoom();
        const id = await this.startOn(port, request);
        if (id !== null) return { id, host: this.address, port };
        others.push(port);
      }
    } finally {
      for (const port of others) await this.ports.giveBack({ match, port }).catch(() => {}); // the sweep will
    }
  }

  ended(id: string, signal: AbortSignal): Promise<void> {
    return this.runner.ended(id, signal);
  }

  stop(id: string): Promise<void> {
    return this.runner.stop(id);
  }

  held(): Promise<readonly Held[]> {
    return this.ports.taken();
  }

  release(place: Place): Promise<void> {
    return this.ports.giveBack(place);
  }

  /** @returns the id; null if another program of this machine has the port */
  private async startOn(port: number, request: LaunchRequest): Promise<string | null> {
    try {
      return (await isFree(port)) ? await this.runner.start(request, port) : null;
    } catch (error) {
      if (error instanceof PortTaken) return null;
      await this.ports.giveBack({ match: request.match, port });
      throw error;
    }
  }
}

/** Whether a program that listens on a port could have it, by TCP and UDP. @throws Error if it may not */
async function isFree(port: number): Promise<boolean> {
  const isFreeOf = await Promise.all([probeTcp(port), probeUdp(port)]);
  return isFreeOf.every((isIt) => isIt);
}

function probeTcp(port: number): Promise<boolean> {
  const server = createServer();
  return probe(server, port, () => server.listen({ port, exclusive: true }));
}

function probeUdp(port: number): Promise<boolean> {
  const socket = createSocket('udp4');
  return probe(socket, port, () => socket.bind({ port, exclusive: true }));
}

interface Probe {
  once(event: 'error', heard: (error: NodeJS.ErrnoException) => void): unknown;
  once(event: 'listening', heard: () => void): unknown;
  close(closed: () => void): unknown;
}

function probe(one: Probe, port: number, begin: () => void): Promise<boolean> {
  return new Promise((resolve, reject) => {
    one.once('listening', () => one.close(() => resolve(true)));
    one.once('error', (error) => {
      if (error.code === 'EADDRINUSE') resolve(false);
      else reject(new Error(`port ${port} cannot be had: ${error.message}`, { cause: error }));
    });
    begin();
  });
}
