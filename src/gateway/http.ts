import type { HttpRequest, HttpResponse, TemplatedApp } from 'uWebSockets.js';
import { type HttpAnswer, type HttpRegister, text } from '../handlers/httpRegister.js';
import type { ClientAddresses } from './address.js';

export interface HttpOptions {
  readonly register: HttpRegister;
  readonly addresses: ClientAddresses;
  /** Whether a request comes from a web page of an origin that isn't allowed. */
  readonly isForeign: (request: HttpRequest) => boolean;
  /** A longer body is a bad one. */
  readonly maxBodyBytes: number;
}

/** An answer that is always the same. */
export interface FixedAnswer extends HttpAnswer {
  readonly header?: readonly [name: string, value: string];
}

export const UPGRADE_REQUIRED: FixedAnswer = {
  ...text('426 Upgrade Required', 'Upgrade required'),
  header: ['upgrade', 'websocket'],
};

const HEALTHY = text('200 OK', 'OK');
export const FORBIDDEN = text('403 Forbidden', 'Forbidden');

const NOT_FOUND = text('404 Not Found', 'Not found');
const BAD_BODY = text('400 Bad Request', 'Invalid request body');
const NOT_ALLOWED: FixedAnswer = {
  ...text('405 Method Not Allowed', 'Method not allowed'),
  header: ['allow', 'POST'],
};

/** Adds what is answered over plain HTTP on the clients' port. */
export function httpRoutes(app: TemplatedApp, options: HttpOptions): TemplatedApp {
  const always = (given: FixedAnswer) => (response: HttpResponse, request: HttpRequest) =>
    answer(response, given, request.getMethod() === 'head');
  return app
    .get('/health', always(HEALTHY))
    .head('/health', always(HEALTHY))
    .post('/register', (response, request) => register(response, request, options))
    .any('/register', always(NOT_ALLOWED))
    .any('/ws', always(UPGRADE_REQUIRED))
    .any('/*', always(NOT_FOUND));
}

/** Sends an answer; the body stays away if only the head was asked for. */
export function answer(response: HttpResponse, given: FixedAnswer, isHead = false): void {
  const { status, contentType, body, header, retryAfterSeconds } = given;
  response.writeStatus(status).writeHeader('content-type', contentType);
  if (header) response.writeHeader(...header);
  if (retryAfterSeconds !== undefined) response.writeHeader('retry-after', String(retryAfterSeconds));
  // endWithoutBody() can report a length itself, but does not count as an answer then
  if (isHead) response.writeHeader('content-length', String(Buffer.byteLength(body))).endWithoutBody();
  else response.end(body);
}

/** How much of a body that is too long is read before the connection is cut, as a multiple of what is allowed. */
const PATIENCE = 1024;

/**
 * Reads the body, however it comes, and answers once; the request object is gone after the first wait. What is too much is
 * read and forgotten, because a client that is cut off while it sends does not see its answer.
 */
function register(response: HttpResponse, request: HttpRequest, options: HttpOptions): void {
  const { maxBodyBytes, addresses, isForeign } = options;
  if (isForeign(request)) {
    answer(response, FORBIDDEN);
    return;
  }
  const address = addresses.ofRequest(response, request);
  const chunks: Buffer[] = [];
  let length = 0;
  let isOpen = true;
  response.onAborted(() => {
    isOpen = false;
  });
  response.onData((chunk, isLast) => {
    if (!isOpen) return;
    length += chunk.byteLength;
    if (length > maxBodyBytes * PATIENCE) response.close();
    else if (length > maxBodyBytes) chunks.length = 0;
    else chunks.push(Buffer.from(chunk.slice(0))); // the chunk is uWebSockets' own
    if (!isLast || !isOpen) return;
    if (length > maxBodyBytes) {
      answer(response, BAD_BODY);
      return;
    }
    void options
      .register(Buffer.concat(chunks), address, () => isOpen)
      .then((result) => {
        if (isOpen) response.cork(() => answer(response, result));
      });
  });
}
