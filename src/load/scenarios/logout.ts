import type { Scenario } from './scenario.js';
import { authenticated, LOGGED_OUT, LOGOUT, tokenAuth } from './session.js';

/** Authenticates by token and logs out. */
export const logout: Scenario = {
  description: 'token_auth and logout, again and again',
  operation: 'cycle',
  pace: 'closed',
  cast: () => (player) => {
    const { username, token } = player.account;
    const request = tokenAuth(token);
    const answer = authenticated(username, token);
    return {
      prepare: async () => true,
      operate: async (intendedMs) =>
        (await player.request('token_auth', request, answer, intendedMs)) &&
        player.request('logout', LOGOUT, LOGGED_OUT),
    };
  },
};
