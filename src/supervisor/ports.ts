import { createServer } from 'node:net';

const LARGEST = 65_535;

/** The first `count` ports of the loopback address above `from` that nobody listens on. @throws Error if there are too few */
export async function freePorts(count: number, from: number): Promise<number[]> {
  const ports: number[] = [];
  for (let port = from + 1; ports.length < count; port += 1) {
    if (port > LARGEST) throw new Error(`There are not enough free ports above ${from}`);
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

/** A port that is kept for processes of ours. */
export interface PortClaim {
  release(): void;
}

/**
 * Gets hold of a port that processes of ours will share: nobody listens on it now, and no other process on this machine
 * gets hold of it like this as long as this one lives, though the port could be shared with it (Linux only; the claim is
 * an abstract socket, which is gone with its process).
 * @throws Error with one clear sentence when somebody else has the port
 */
export async function claimPort(port: number, host: string): Promise<PortClaim> {
  const claim = createServer();
  const isOurs = await new Promise<boolean>((resolve) => {
    claim.once('error', () => resolve(false));
    claim.listen(`\0openchamp ${host} ${port}`, () => resolve(true));
  });
  const release = () => void claim.close();
  if (isOurs && (await isFree(port, host))) return { release };
  release();
  throw cannotListen(host, port);
}

/** What is said of a port that can't be had. @param of whose port it is, as in the names of its settings */
export function cannotListen(host: string, port: number, of: '' | 'ADMIN' = ''): Error {
  const prefix = of && `${of}_`;
  return new Error(
    `Cannot listen on ${host} port ${port}: it is taken, or not allowed; set ${prefix}PORT (or ${prefix}HOST) to another.`,
  );
}

/** Whether nobody listens on a port of an address now. */
export function isFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
