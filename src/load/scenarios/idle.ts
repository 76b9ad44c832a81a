import type { Scenario } from './scenario.js';
import { entrance } from './session.js';

/** Holds sessions open and answers pings. */
export const idle: Scenario = {
  description: 'sessions that are held open, answer pings, and are come back to after a loss',
  operation: null,
  pace: 'none',
  cast:
    ({ plan }) =>
    (player) => ({ prepare: entrance(player, plan), operate: async () => true }),
};
