import type { LoggedOut, ServerMessage } from '../contract/server.generated.js';
import { AUTH_TEXTS, ERROR_TEXTS, type RegistrationTexts } from './errors.js';

/** A message of the server, ready to be sent as a text frame: compact JSON, `type` first. */
export type Frame = string;

/** Makes the frame of a message. */
function frame(message: ServerMessage): Frame {
  return JSON.stringify(message);
}

function errorFrame(code: keyof typeof ERROR_TEXTS): Frame {
  return frame({ type: 'error', payload: { message: ERROR_TEXTS[code], code } });
}

function authError(text: keyof typeof AUTH_TEXTS): Frame {
  return frame({ type: 'auth_error', payload: { message: AUTH_TEXTS[text] } });
}

/** Answers that are always the same, made once. */
export const ANSWERS = {
  authRequired: errorFrame('AUTH_REQUIRED'),
  invalidMessage: errorFrame('INVALID_MESSAGE'),
  unknownType: errorFrame('UNKNOWN_TYPE'),
  invalidPayload: errorFrame('INVALID_PAYLOAD'),
  rateLimited: errorFrame('RATE_LIMITED'),
  unavailable: errorFrame('SERVICE_UNAVAILABLE'),
  queued: frame({ type: 'queued' }),
  dequeued: frame({ type: 'dequeued' }),
  matchError: frame({ type: 'match_error', payload: { message: 'Failed to start game server' } }),
  loggedOut: frame({ type: 'logged_out' }),
  loginFormat: authError('loginFormat'),
  badCredentials: authError('credentials'),
  tokenFormat: authError('tokenFormat'),
  badToken: authError('token'),
  accountDisabled: authError('disabled'),
  tooManyAttempts: authError('attempts'),
  authUnavailable: authError('unavailable'),
} as const;

/** `auth_success`; the most frequent answer that is not always the same, so it is put together by hand. */
export function authSuccess(username: string, token: string): Frame {
  return `{"type":"auth_success","payload":{"username":${JSON.stringify(username)},"token":${JSON.stringify(token)}}}`;
}

/** `player_count`. */
export function playerCount(players: number): Frame {
  return frame({ type: 'player_count', payload: players });
}

/** `display_name_updated`. */
export function displayNameUpdated(name: string): Frame {
  return frame({ type: 'display_name_updated', payload: name });
}

/** `global_chat`. */
export function globalChat(username: string, message: string): Frame {
  return frame({ type: 'global_chat', payload: { username, message } });
}

/** `private_chat`. */
export function privateChat(username: string, message: string): Frame {
  return frame({ type: 'private_chat', payload: { username, message } });
}

/** `match_found`. @param containerID id of the game server @param players their display names */
export function matchFound(
  host: string,
  port: number,
  containerID: string,
  players: readonly string[],
): Frame {
  return frame({ type: 'match_found', payload: { port, players: [...players], containerID, host } });
}

/** `register_success`. */
export function registerSuccess(username: string, token: string): Frame {
  return frame({
    type: 'register_success',
    payload: { success: true, message: 'Registration successful', autoLogin: true, username, token },
  });
}

/** `error` with code REGISTRATION_ERROR. */
export function registrationError(message: RegistrationTexts[keyof RegistrationTexts]): Frame {
  return frame({ type: 'error', payload: { message, code: 'REGISTRATION_ERROR' } });
}

type Reason = NonNullable<LoggedOut['payload']>['reason'];

/** `logged_out` that the client did not ask for. */
export function loggedOutBy(reason: Reason): Frame {
  return frame({ type: 'logged_out', payload: { reason } });
}
