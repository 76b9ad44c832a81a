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
const USERNAME_MAX = 50;
const PASSWORD_MIN = 6;
const PASSWORD_MAX = 128;
const EMAIL_MAX_BYTES = 254;

/** Control, format, private, unassigned and lone surrogates; separators other than a plain space; what looks empty. */
const INVISIBLE =
  /[\p{C}\p{Zl}\p{Zp}\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u115f\u1160\u3164\uffa0\u2800]|\u034f/u;
const VISIBLE = /[^\s\p{M}]/u;

/** One @ with a local part and a domain with a dot: whether it exists, only a letter to it would tell. */
const EMAIL = /^[^\s@\p{C}]{1,64}@[^\s@.\p{C}]+(?:\.[^\s@.\p{C}]+)+$/u;

/** Checks a registration, in the order of the protocol. Lengths are counted in Unicode code points, after NFC. */
export function checkRegistration(
  request: RegistrationRequest,
): Registration | { problem: RegistrationProblem } {
  const username = request.username.normalize('NFC');
  const { password } = request;
  const email = request.email ?? '';
  // as it was sent, too: NFC makes two of some characters, and `login` refuses a username that is sent too short
  const isShort = !isAtLeast(request.username, USERNAME_MIN) || !isAtLeast(username, USERNAME_MIN);
  if (isShort) return { problem: 'usernameShort' };
  if (!isAtLeast(password, PASSWORD_MIN)) return { problem: 'passwordShort' };
  if (isAtLeast(username, USERNAME_MAX + 1)) return { problem: 'usernameLong' };
  if (INVISIBLE.test(username) || !VISIBLE.test(username)) return { problem: 'usernameInvisible' };
  if (isTooLong(password)) return { problem: 'passwordLong' };
  if (email === '') return { username, password };
  if (Buffer.byteLength(email) > EMAIL_MAX_BYTES || !EMAIL.test(email)) return { problem: 'email' };
  return { username, password, email };
}

/** Whether no account can have this password. */
export function isTooLong(password: string): boolean {
  return isAtLeast(password, PASSWORD_MAX + 1);
}

/** Whether a text has so many code points, without counting further than needed. */
function isAtLeast(text: string, codePoints: number): boolean {
  if (text.length < codePoints) return false;
  if (text.length >= 2 * codePoints) return true;
  let count = 0;
  for (const _ of text) {
    count += 1;
    if (count >= codePoints) return true;
  }
  return false;
}
