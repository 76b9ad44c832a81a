import type { AddressInfo } from 'node:net';
import { type FastifyError, type FastifyReply, fastify } from 'fastify';
import type { Logger } from 'pino';
import { type ApiOptions, api } from './api.js';
import type { Metrics } from './metrics.js';

export interface AdminOptions {
  readonly host: string;
  /** 0: one that is free. */
  readonly port: number;
  /** Why the process can't do its work now; null if it can. */
  readonly readiness: () => Promise<string | null>;
  /** What `/metrics` shows. */
  readonly metrics: Pick<Metrics, 'contentType' | 'text'>;
  /** The API of operators; null: there is none. */
  readonly api: ApiOptions | null;
  readonly logger: Logger;
}

/** The operators' HTTP server. */
export interface Admin {
  readonly port: number;
  /** Stops at once; what is being answered is cut off. */
  close(): Promise<void>;
}

/** How long a request may take to come in, in ms. */
const REQUEST_MS = 10_000;

/** Letters of a username, percent-encoded, and some more. */
const MAX_PARAMETER = 4096;

/** Serves probes and metrics, and the API. @throws Error with one clear sentence when the port can't be had */
export async function startAdmin(options: AdminOptions): Promise<Admin> {
  const { host, port, readiness, metrics, logger } = options;
  const failed = (error: FastifyError, _request: unknown, reply: FastifyReply) => {
    const { statusCode = 500 } = error;
    if (statusCode >= 500) logger.error({ err: error }, 'an operator was not answered');
    return reply.code(statusCode).type('text/plain; charset=utf-8').send(error.message);
  };
  const app = fastify({
    requestTimeout: REQUEST_MS,
    forceCloseConnections: true,
    ajv: { customOptions: { coerceTypes: true, removeAdditional: false } }, // numbers in queries; nothing is left out unsaid
    routerOptions: { maxParamLength: MAX_PARAMETER },
    frameworkErrors: failed,
  });
  app.setErrorHandler(failed);
  app.setNotFoundHandler((_request, reply) => reply.code(404).send('Not found'));
  app.get('/livez', () => 'ok');
  app.get('/readyz', async (_request, reply) => {
    const reason = await readiness();
    return reply.code(reason === null ? 200 : 503).send(reason ?? 'ok');
  });
  app.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()));
  if (options.api) await app.register(api, { prefix: '/api', ...options.api });

  try {
    await app.listen({ host, port });
  } catch (error) {
    await app.close();
    throw new Error(
      `Cannot listen on ${host} port ${port}: it is taken, or not allowed; set ADMIN_PORT (or ADMIN_HOST) to another.`,
      { cause: error },
    );
  }
  return {
    port: (app.server.address() as AddressInfo).port,
    close: () => app.close(),
  };
}
