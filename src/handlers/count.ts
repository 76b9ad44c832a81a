import { ANSWERS, playerCount } from '../protocol/answers.js';
import type { Context } from './context.js';
import { type Handler, handler } from './handler.js';

/** `count`: how many players there are. Asks nobody. */
export function countHandler(context: Context): Handler {
  return handler(context.validators, {
    type: 'count',
    needsSession: true,
    invalid: ANSWERS.invalidPayload,
    unavailable: ANSWERS.unavailable,
    handle(client) {
      client.send(playerCount(context.players()));
    },
  });
}
