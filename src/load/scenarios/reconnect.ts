import type { Scenario } from './scenario.js';
import { authenticated, tokenAuth } from './session.js';

/** Cuts connections and comes back to the same session at once. */
export const reconnect: Scenario = {
  description: 'all drop their connections and come back at once, again and again',
  operation: 'reconnect',
  pace: 'waves',
  cast: () => (player) => {
    const { username, token } = player.account;
    const request = tokenAuth(token, true);
    const answer = authenticated(username, token);
    const enter = () => player.request('token_auth', request, answer);
    return {
      prepare: enter,
      async operate(intendedMs) {
        player.drop();
        return (await player.connect(intendedMs)) && enter();
      },
    };
  },
};
