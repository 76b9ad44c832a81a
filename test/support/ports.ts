import { createServer } from 'node:net';

/** Thrown by what could not listen because somebody else has the port. */
export class PortTakenError extends Error {
  override readonly name = 'PortTakenError';
}

/**
 * Runs `start` with `count` ports that were free a moment ago, and with others when it throws a PortTakenError.
 * @returns what `start` gives
 * @throws what `start` throws, a PortTakenError only after many attempts
 */
export async function onFreePorts<T>(count: number, start: (ports: number[]) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const ports: number[] = [];
    while (ports.length < count) ports.push(await freePort());
    try {
      return await start(ports);
    } catch (error) {
      if (!(error instanceof PortTakenError) || attempt === ATTEMPTS) throw error;
    }
  }
}

/**
 * Ports below those that systems give to outgoing connections and to listeners on port 0 (from 32768 or 49152), so
 * that a server that goes away for a while finds its port free when it comes back.
 */
const LOWEST = 12_000;
const HIGHEST = 32_000;
const ATTEMPTS = 20;

const given = new Set<number>();

/** A port of 127.0.0.1 that nobody listens on now, and that this process hasn't been given before. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (given.has(port)) continue;
    given.add(port);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
