import { textFrame } from '../frames.js';
import type { Plan } from '../plan.js';
import type { Player } from '../player.js';

/** Frames and answers that several scenarios share. */
export const LOGOUT = textFrame('{"type":"logout"}');
export const LOGGED_OUT = Buffer.from('{"type":"logged_out"}');
export const COUNT = textFrame('{"type":"count"}');
export const COUNTED = Buffer.from('{"type":"player_count","payload":');

/** `token_auth`. @param resume whether to take the session over where it is still attached */
export function tokenAuth(token: string, resume = false): Buffer {
  return textFrame(JSON.stringify({ type: 'token_auth', payload: { token, ...(resume && { resume }) } }));
}

/**
 * How a player enters that keeps its session: the first time by its token; when it comes back from a loss, it asks for its
 * session, but not if it has stayed away (`awayMs`).
 * @returns enters, and tells whether it is in
 */
export function entrance(player: Player, { awayMs }: Plan): () => Promise<boolean> {
  const { username, token } = player.account;
  let isBack = false;
  return () => {
    const request = tokenAuth(token, isBack && awayMs === null);
    isBack = true;
    return player.request('token_auth', request, authenticated(username, token));
  };
}

/** `login`. */
export function login(username: string, password: string): Buffer {
  return textFrame(JSON.stringify({ type: 'login', payload: { username, password } }));
}

/** The answer to `tokenAuth`. */
export function authenticated(username: string, token: string): Buffer {
  return Buffer.from(JSON.stringify({ type: 'auth_success', payload: { username, token } }));
}

/** The answer to `login`, up to its token. */
export function loggedIn(username: string): Buffer {
  return Buffer.from(`{"type":"auth_success","payload":{"username":${JSON.stringify(username)},"token":"`);
}
