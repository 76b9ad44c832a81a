import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js';
import type { HttpAnswer, HttpRegister } from '../handlers/httpRegister.js';
import type { ClientAddresses } from './address.js';

export interface HttpOptions {
  readonly register: HttpRegister;
  readonly addresses: ClientAddresses;
  /** A longer body is a bad one. */
  readonly maxBodyBytes: number;
}

/** Adds what is answered over plain HTTP on the clients' port. */
export function httpRoutes(app: TemplatedApp, options: HttpOptions): TemplatedApp {
  const health = (response: HttpResponse) => answer(response, text('200 OK', 'OK'));
  return app
    .get('/health', health)
    .head('/health', health)
    .post('/register', (response, request) => register(response, request, options))
    .any('/register', (response) =>
      answer(response, text('405 Method Not Allowed', 'Method not allowed'), ALLOW),
    )
    .any('/ws', (response) => answer(response, text('426 Upgrade Required', 'Upgrade required'), UPGRADE))
    .any('/*', (response) => answer(response, text('404 Not Found', 'Not found')));
}

type Header = readonly [name: string, value: string];

const ALLOW: Header = ['allow', 'POST'];
const UPGRADE: Header = ['upgrade', 'websocket'];

function text(status: string, body: string): HttpAnswer {
  return { status, contentType: 'text/plain', body };
}

const BAD_BODY = text('400 Bad Request', 'Invalid request body');

/** Reads the body, however it comes, and answers once; the request object is gone after the first wait. */
function register(response: HttpResponse, request: HttpRequest, options: HttpOptions): void {
  const peer = Buffer.from(response.getRemoteAddressAsText()).toString();
  const address = options.addresses.of(peer, request.getHeader('x-forwarded-for'));
  const chunks: Buffer[] = [];
  let length = 0;
  let isOpen = true;
  response.onAborted(() => {
    isOpen = false;
  });
  response.onData((chunk, isLast) => {
    if (!isOpen || length > options.maxBodyBytes) return;
    length += chunk.byteLength;
    if (length > options.maxBodyBytes) {
      answer(response, BAD_BODY, ['connection', 'close'], true);
      return;
    }
    chunks.push(Buffer.from(chunk.slice(0))); // the chunk is uWebSockets' own
    if (!isLast) return;
    void options
      .register(Buffer.concat(chunks), address, () => isOpen)
      .then((result) => {
        if (isOpen) response.cork(() => answer(response, result));
      });
  });
}

function answer(
  response: HttpResponse,
  { status, contentType, body, retryAfterSeconds }: HttpAnswer,
  header?: Header,
  closes = false,
): void {
  response.writeStatus(status).writeHeader('content-type', contentType);
  if (header) response.writeHeader(...header);
  if (retryAfterSeconds !== undefined) response.writeHeader('retry-after', String(retryAfterSeconds));
  response.end(body, closes);
}
