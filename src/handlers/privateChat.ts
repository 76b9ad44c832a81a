import { ANSWERS, privateChat } from '../protocol/answers.js';
import { maySay } from './chat.js';
import type { Context } from './context.js';
import { type Handler, handler } from './handler.js';

/**
 * `private_chat`: to every connection of the account that has the target as its username, or as the display name of a
 * session. Where they are stands in Redis. Nothing to the sender, nor to anybody if there is nobody.
 */
export function privateChatHandler(context: Context): Handler {
  return handler(context.validators, {
    type: 'private_chat',
    needsSession: true,
    invalid: ANSWERS.invalidPayload,
    unavailable: ANSWERS.unavailable,
    async handle(client, { payload: { target, message } }) {
      const session = client.session!;
      if (!(await maySay(context, client, session, message))) return;
      const accountId = await context.names.accountOf(target.normalize('NFC'));
      if (accountId === null) return;
      const frame = privateChat(session.displayName, message);
      const nodes = await whereabouts(context, accountId);
      await Promise.all([...nodes].map(([node, ids]) => context.publisher.deliver(node, ids, frame)));
    },
  });
}

/** The attached sessions of an account by their nodes. @throws Unavailable */
async function whereabouts({ sessions }: Context, accountId: string): Promise<Map<string, string[]>> {
  const nodes = new Map<string, string[]>();
  for (const [id, { state }] of await sessions.loadAll(accountId)) {
    if (state.status !== 'attached') continue;
    const { node } = state.attachment;
    nodes.set(node, [...(nodes.get(node) ?? []), id]);
  }
  return nodes;
}
