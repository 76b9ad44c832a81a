import { ANSWERS, globalChat } from '../protocol/answers.js';
import { maySay } from './chat.js';
import type { Context } from './context.js';
import { type Handler, handler } from './handler.js';

/** `global_chat`: to every session on every node, the sender's included, by one publish. */
export function globalChatHandler(context: Context): Handler {
  return handler(context.validators, {
    type: 'global_chat',
    needsSession: true,
    invalid: ANSWERS.invalidPayload,
    unavailable: ANSWERS.unavailable,
    async handle(client, { payload }) {
      const session = client.session!;
      if (!(await maySay(context, client, session, payload))) return;
      await context.publisher.chatWithAll(globalChat(session.displayName, payload));
    },
  });
}
