import type { LoggedOut, ServerMessage } from '../contract/server.generated.js';
import { AUTH_TEXTS, ERROR_TEXTS, type RegistrationTexts } from './errors.js';

/**
 * A message of the server, ready to be sent as a text frame: compact JSON, `type` first; as its bytes if it is always the
 * same, for a text is encoded anew each time that it is sent.
 */
export type Frame = string | ArrayBuffer;

/** Makes the frame of a message. */
function frame(message: ServerMessage): string {
  return JSON.stringify(message);
}

/** Makes a frame that is sent many times. */
function fixed(message: ServerMessage): ArrayBuffer {
  return Uint8Array.from(Buffer.from(frame(message))).buffer;
}

function errorFrame(code: keyof typeof ERROR_TEXTS): ArrayBuffer {
  return fixed({ type: 'error', payload: { message: ERROR_TEXTS[code], code } });
}

function authError(text: keyof typeof AUTH_TEXTS): ArrayBuffer {
  return fixed({ type: 'auth_error', payload: { message: AUTH_TEXTS[text] } });
}

/** Answers that are always the same, made once. */
export const ANSWERS = {
  authRequired: errorFrame('AUTH_REQUIRED'),
  invalidMessage: errorFrame('INVALID_MESSAGE'),
  unknownType: errorFrame('UNKNOWN_TYPE'),
  invalidPayload: errorFrame('INVALID_PAYLOAD'),
  rateLimited: errorFrame('RATE_LIMITED'),
  unavailable: errorFrame('SERVICE_UNAVAILABLE'),
  queued: fixed({ type: 'queued' }),
  dequeued: fixed({ type: 'dequeued' }),
  // a worker sends it by way of the bus, which carries texts
  matchError: frame({ type: 'match_error', payload: { message: 'Failed to start game server' } }),
  loggedOut: fixed({ type: 'logged_out' }),
  loginFormat: authError('loginFormat'),
  badCredentials: authError('credentials'),
  tokenFormat: authError('tokenFormat'),
  badToken: authError('token'),
  accountDisabled: authError('disabled'),
  tooManyAttempts: authError('attempts'),
  authUnavailable: authError('unavailable'),
} as const;

/**
 * `auth_success`; the most frequent answer that is not always the same, so it is put together by hand.
 * @param token a UUID
 */
export function authSuccess(username: string, token: string): string {
  return `{"type":"auth_success","payload":{"username":${JSON.stringify(username)},"token":"${token}"}}`;
}

/** `player_count`. */
export function playerCount(players: number): string {
  return frame({ type: 'player_count', payload: players });
}

/** `display_name_updated`. */
export function displayNameUpdated(name: string): string {
  return frame({ type: 'display_name_updated', payload: name });
}

/** `global_chat`. */
export function globalChat(username: string, message: string): string {
  return frame({ type: 'global_chat', payload: { username, message } });
}

/** `private_chat`. */
export function privateChat(username: string, message: string): string {
  return frame({ type: 'private_chat', payload: { username, message } });
}

/** `match_found`. @param containerID id of the game server @param players their display names */
export function matchFound(
  host: string,
  port: number,
  containerID: string,
  players: readonly string[],
): string {
  return frame({ type: 'match_found', payload: { port, players: [...players], containerID, host } });
}

/** `register_success`. */
export function registerSuccess(username: string, token: string): string {
  return frame({
    type: 'register_success',
    payload: { success: true, message: 'Registration successful', autoLogin: true, username, token },
  });
}

/** `error` with code REGISTRATION_ERROR. */
export function registrationError(message: RegistrationTexts[keyof RegistrationTexts]): string {
  return frame({ type: 'error', payload: { message, code: 'REGISTRATION_ERROR' } });
}

type Reason = NonNullable<LoggedOut['payload']>['reason'];

/** `logged_out` that the client did not ask for. */
export function loggedOutBy(reason: Reason): string {
  return frame({ type: 'logged_out', payload: { reason } });
}
