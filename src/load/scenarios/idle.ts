import type { Scenario } from './scenario.js';
import { authenticated, tokenAuth } from './session.js';

/** Holds sessions open and answers pings. */
export const idle: Scenario = {
  description: 'sessions that are held open and answer pings',
  operation: null,
  pace: 'none',
  cast: () => (player) => {
    const { username, token } = player.account;
    return {
      prepare: () => player.request('token_auth', tokenAuth(token), authenticated(username, token)),
      operate: async () => true,
    };
  },
};
