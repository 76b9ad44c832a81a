import type { Logger } from 'pino';
import type { MessageEnvelope } from '../contract/client.generated.js';
import { ANSWERS } from '../protocol/answers.js';
import type { Client } from './client.js';
import { failureLog } from './failures.js';
import type { Handler } from './handler.js';

/**
 * Handles a message of a client. Returns a promise only if the client's next message has to wait for it. Never throws.
 * @param cameAt when its frame came, by `performance.now()`, if it has waited behind others
 */
export type Dispatch = (
  client: Client,
  message: MessageEnvelope,
  cameAt: number | null,
) => void | Promise<void>;

/** Makes the way of a message through the server. */
export function dispatcher(handlers: ReadonlyMap<string, Handler>, logger: Logger): Dispatch {
  const logFailure = failureLog(logger);
  return (client, message) => {
    // 1. who handles it
    const handler = handlers.get(message.type);

    // 2. may the client send it
    if (!client.session && (!handler || handler.needsSession)) {
      client.refuse(ANSWERS.authRequired);
      return;
    }
    if (!handler) {
      client.refuse(ANSWERS.unknownType);
      return;
    }

    // 3. is it what its schema says
    if (!handler.isValid(message)) {
      if (handler.invalid !== null) client.refuse(handler.invalid);
      return;
    }

    // 4. do it
    try {
      return handler.handle(client, message)?.catch((error: unknown) => fail(client, handler, error));
    } catch (error) {
      fail(client, handler, error);
    }
  };

  function fail(client: Client, handler: Handler, error: unknown): void {
    logFailure(error, { type: handler.type, connection: client.number });
    client.fail(handler.unavailable);
  }
}
