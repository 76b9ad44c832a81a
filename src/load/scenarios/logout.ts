import { textFrame } from '../frames.js';
import type { Scenario } from './scenario.js';

export const LOGOUT = textFrame('{"type":"logout"}');
export const LOGGED_OUT = Buffer.from('{"type":"logged_out"}');

/** Authenticates by token and logs out. */
export const logout: Scenario = {
  description: 'token_auth and logout, again and again',
  operation: 'cycle',
  pace: 'closed',
  cast: (player) => ({
    prepare: async () => true,
    operate: async (intendedMs) =>
      (await player.request('token_auth', player.tokenAuth, player.authenticated, intendedMs)) &&
      player.request('logout', LOGOUT, LOGGED_OUT),
  }),
};
