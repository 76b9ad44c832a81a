import { textFrame } from '../frames.js';

/** Frames and answers that several scenarios share. */
export const LOGOUT = textFrame('{"type":"logout"}');
export const LOGGED_OUT = Buffer.from('{"type":"logged_out"}');
export const COUNT = textFrame('{"type":"count"}');
export const COUNTED = Buffer.from('{"type":"player_count","payload":');

/** `token_auth`. @param resume whether to take the session over where it is still attached */
export function tokenAuth(token: string, resume = false): Buffer {
  return textFrame(JSON.stringify({ type: 'token_auth', payload: { token, ...(resume && { resume }) } }));
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
