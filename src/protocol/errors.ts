import type { RegistrationProblem } from '../account/registration.js';
import type { ErrorCode } from '../contract/server.generated.js';

/**
 * Every error that a client can be told, and every way a connection is closed by the server. `docs/protocol.md` has the
 * same tables; a test holds them together.
 */

/** `error` messages: what each code says. REGISTRATION_ERROR says one of `registrationTexts`. */
export const ERROR_TEXTS = {
  AUTH_REQUIRED: 'Authentication required',
  INVALID_MESSAGE: 'Message must be a JSON object with a string "type"',
  UNKNOWN_TYPE: 'Unknown message type',
  INVALID_PAYLOAD: 'Invalid payload',
  RATE_LIMITED: 'Too many messages, slow down',
  SERVICE_UNAVAILABLE: 'Service unavailable, try again later',
} as const satisfies Record<Exclude<ErrorCode, 'REGISTRATION_ERROR'>, string>;

/** Texts of `auth_error`. */
export const AUTH_TEXTS = {
  loginFormat: 'Invalid login format',
  credentials: 'Invalid username or password',
  tokenFormat: 'Invalid token format',
  token: 'Invalid or expired token',
  disabled: 'Account disabled',
  attempts: 'Too many attempts, try again later',
  unavailable: 'Service unavailable, try again later',
} as const;

type RegistrationRefusal = 'format' | 'usernameTaken' | 'emailTaken' | 'attempts' | 'server';

/**
 * Texts of `error` with code REGISTRATION_ERROR.
 * @param passwordMin characters of the shortest password
 */
export function registrationTexts(passwordMin: number) {
  return {
    format: 'Invalid registration format',
    usernameShort: 'Username must be at least 3 characters',
    passwordShort: `Password must be at least ${passwordMin} characters`,
    usernameLong: 'Username must be at most 50 characters',
    usernameInvisible: 'Username must not contain control or invisible characters',
    passwordLong: 'Password must be at most 128 characters',
    email: 'Email must be a valid address',
    usernameTaken: 'Username already exists',
    emailTaken: 'Email already registered',
    attempts: 'Too many registrations, try again later',
    server: 'Registration failed due to a server error',
  } as const satisfies Record<RegistrationProblem | RegistrationRefusal, string>;
}

export type RegistrationTexts = ReturnType<typeof registrationTexts>;

/** Why the server closes a connection: the code and the reason of the close frame. */
export const CLOSE = {
  policy: { code: 1008, reason: 'Too many messages' },
  connections: { code: 1008, reason: 'Too many connections from this address' },
  tooBig: { code: 1009, reason: 'Message too big' },
  goingAway: { code: 1012, reason: 'This instance is going away, reconnect' },
  sessionLost: { code: 1012, reason: 'The session was lost, reconnect' },
  overloaded: { code: 1013, reason: 'Overloaded, try again later' },
  takenOver: { code: 4001, reason: 'Session taken over by another connection' },
  unauthenticated: { code: 4002, reason: 'Not authenticated in time' },
} as const;

export type Close = (typeof CLOSE)[keyof typeof CLOSE];

/** A connection is cut, without a close frame, because its client doesn't read what it gets. */
export const SLOW_READER = 'slow_reader';
