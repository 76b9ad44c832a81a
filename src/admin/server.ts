// Placeholder until the real file is written; overwrite it.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
export async function startAdmin(o: {
  host: string;
  port: number;
  readiness: () => string | null;
  registry: unknown;
  logger: unknown;
}): Promise<{ port: number; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const reason = request.url === '/readyz' ? o.readiness() : null;
    response.statusCode = reason ? 503 : 200;
    response.end(reason ?? 'ok');
  });
  await new Promise<void>((resolve) => server.listen(o.port, o.host, resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
