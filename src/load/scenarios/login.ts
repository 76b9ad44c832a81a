import type { Scenario } from './scenario.js';
import * as session from './session.js';

/** Logs in by password and logs out. Each login makes a new token, and revokes the oldest when there are too many. */
export const login: Scenario = {
  description: 'login by password and logout, again and again',
  operation: 'cycle',
  pace: 'closed',
  cast:
    ({ plan }) =>
    (player) => {
      const { username } = player.account;
      const request = session.login(username, plan.password);
      const answer = session.loggedIn(username);
      return {
        prepare: async () => true,
        operate: async (intendedMs) =>
          (await player.request('login', request, answer, intendedMs)) &&
          player.request('logout', session.LOGOUT, session.LOGGED_OUT),
      };
    },
};
