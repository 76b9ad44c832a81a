import { hasAtLeast } from '../codePoints.js';
import { isVisible, NAME_MAX } from './names.js';

/** What somebody wants to register with. */
export interface RegistrationRequest {
  readonly username: string;
  readonly password: string;
  readonly email?: string | null;
}

/** A registration that can be tried. */
export interface Registration {
  /** After NFC. */
  readonly username: string;
  readonly password: string;
  /** As given; absent for none. */
  readonly email?: string;
}

export type RegistrationProblem =
  | 'usernameShort'
  | 'passwordShort'
  | 'usernameLong'
  | 'usernameInvisible'
  | 'passwordLong'
  | 'email';

const USERNAME_MIN = 3;
const PASSWORD_MAX = 128;
const EMAIL_MAX_BYTES = 254;

/** One @ with a local part and a domain with a dot: whether it exists, only a letter to it would tell. */
const EMAIL = /^[^\s@\p{C}]{1,64}@[^\s@.\p{C}]+(?:\.[^\s@.\p{C}]+)+$/u;

/**
 * Checks a registration, in the order of the protocol. Lengths are counted in Unicode code points, after NFC.
 * @param passwordMin of the shortest password
 */
export function checkRegistration(
  request: RegistrationRequest,
  passwordMin: number,
): Registration | { problem: RegistrationProblem } {
  const username = request.username.normalize('NFC');
  const { password } = request;
  const email = request.email ?? '';
  // as it was sent, too: NFC makes two of some characters, and `login` refuses a username that is sent too short
  const isShort = !hasAtLeast(request.username, USERNAME_MIN) || !hasAtLeast(username, USERNAME_MIN);
  if (isShort) return { problem: 'usernameShort' };
  if (!hasAtLeast(password, passwordMin)) return { problem: 'passwordShort' };
  if (hasAtLeast(username, NAME_MAX + 1)) return { problem: 'usernameLong' };
  if (!isVisible(username)) return { problem: 'usernameInvisible' };
  if (isTooLong(password)) return { problem: 'passwordLong' };
  if (email === '') return { username, password };
  if (Buffer.byteLength(email) > EMAIL_MAX_BYTES || !EMAIL.test(email)) return { problem: 'email' };
  return { username, password, email };
}

/** Whether no account can have this password. */
export function isTooLong(password: string): boolean {
  return hasAtLeast(password, PASSWORD_MAX + 1);
}
