import type { StoredRecord, Write } from '../log/operation.js';

/**
 * How a token is stored: a record that expires when the token does. One that is revoked is not stored any more, but for
 * those of an account that is disabled, which stay to say so.
 */
export interface StoredToken {
  readonly accountId: string;
  readonly username: string;
  /** Redis' time in ms since the epoch. */
  readonly expiresAt: number;
  /** Null: it is valid. Else the version of its account by which that was disabled. */
  readonly disabledAt: number | null;
}

type Body = [accountId: string, username: string, expiresAt: number, disabledAt?: number];

/** Versions of the record, so that what counts on a valid token finds out in its commit. */
export const VALID = 1;
const REVOKED = 2;

/** The write that stores a token. */
export function tokenWrite(key: string, { accountId, username, expiresAt, disabledAt }: StoredToken): Write {
  const body: Body = [accountId, username, expiresAt];
  if (disabledAt !== null) body.push(disabledAt);
  return ['put', key, '', disabledAt === null ? VALID : REVOKED, JSON.stringify(body), expiresAt];
}

/** Reads what `tokenWrite` wrote. @throws SyntaxError or TypeError if it is something else */
export function readToken({ body }: StoredRecord): StoredToken {
  const [accountId, username, expiresAt, disabledAt = null] = JSON.parse(body) as Body;
  return { accountId, username, expiresAt, disabledAt };
}
