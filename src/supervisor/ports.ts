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

/** Whether nobody listens on a port of an address now. */
export function isFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
