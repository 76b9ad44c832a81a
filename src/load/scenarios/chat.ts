import { nowMs } from '../clock.js';
import { ChatMessage, intendedMsOf, isChatOf, senderOf } from './chatMessage.js';
import type { Scenario } from './scenario.js';
import { entrance } from './session.js';

/** As what a receipt is counted, and how many receipts there must be. */
export const DELIVERY = 'delivery';
export const DELIVERIES_DUE = 'deliveries due';

/** Some send to all; each receipt is measured from when the message was to be sent. */
export const chat: Scenario = {
  description: 'global chat: some send, all receive; every receipt is measured',
  operation: null,
  pace: 'closed',
  active: ({ senders }) => senders,
  cast: (stage) => (player) => {
    const { plan } = stage;
    const message = new ChatMessage(plan.run, player.number, null);
    const run = Buffer.from(plan.run);
    player.onPush = (bytes, start, end) => {
      if (!isChatOf(run, bytes, start, end)) return false;
      player.tally.done(DELIVERY, nowMs() - intendedMsOf(bytes, end));
      if (senderOf(bytes, end) === player.number) player.fulfil();
      return true;
    };
    return {
      prepare: entrance(player, plan),
      async operate(intendedMs) {
        player.tally.count(DELIVERIES_DUE, stage.listeners);
        const isDone = await player.request('global_chat', message.at(intendedMs), null, intendedMs);
        const isRefused = !isDone && player.isConnected; // by an answer: nobody gets it
        if (isRefused) player.tally.count(DELIVERIES_DUE, -stage.listeners);
        return isDone;
      },
    };
  },
};
