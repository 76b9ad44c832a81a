import type { Logger } from 'pino';
import type { MessageEnvelope } from '../contract/client.generated.js';
import { ANSWERS } from '../protocol/answers.js';
import type { Client } from './client.js';
import { failureLog } from './failures.js';
import type { Handler } from './handler.js';

/**
 * Handles a message of a client. Never throws.
 * @param cameAt when its frame came, by `performance.now()`, if it has waited behind others
 * @param done is called when a message that takes longer has been handled
 * @returns whether it takes longer, so that the client's next message has to wait
 */
export type Dispatch = <C extends Client>(
  client: C,
  message: MessageEnvelope,
  cameAt: number | null,
  done: (client: C) => void,
) => boolean;

/** Makes the way of a message through the server. */
export function dispatcher(handlers: ReadonlyMap<string, Handler>, logger: Logger): Dispatch {
  const logFailure = failureLog(logger);
  return (client, message, _cameAt, done) => {
    // 1. who handles it
    const handler = handlers.get(message.type);

    // 2. may the client send it
    if (!client.session && (!handler || handler.needsSession)) {
      client.refuse(ANSWERS.authRequired);
      return false;
    }
    if (!handler) {
      client.refuse(ANSWERS.unknownType);
      return false;
    }

    // 3. is it what its schema says
    if (!handler.isValid(message)) {
      if (handler.invalid !== null) client.refuse(handler.invalid);
      return false;
    }

    // 4. do it
    try {
      const handled = handler.handle(client, message);
      if (!handled) return false;
      handled.then(
        () => done(client),
        (error: unknown) => {
          fail(client, handler, error);
          done(client);
        },
      );
      return true;
    } catch (error) {
      fail(client, handler, error);
      return false;
    }
  };

  function fail(client: Client, handler: Handler, error: unknown): void {
    logFailure(error, { type: handler.type, connection: client.number });
    client.fail(handler.unavailable);
  }
}
