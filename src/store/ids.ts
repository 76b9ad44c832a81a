import { hash, randomBytes, randomFillSync, randomUUID } from 'node:crypto';

/**
 * Ids and tokens carry the bucket (0–255) of their account in their first byte, so that a key in Redis can be built
 * from an id or token alone, without asking where it lives.
 */

const ACCOUNT_BYTES = 12;
const SESSION_BYTES = 18;
const ID_PATTERN = /^(?:a[A-Za-z0-9_-]{16}|s[A-Za-z0-9_-]{24})$/;

/** The bucket of a username (after NFC). */
export function bucketOfUsername(username: string): number {
  return hash('sha256', username, 'buffer')[0]!;
}

/** What stands for a name or an email address in Redis: its SHA-256 in base64url. Its first byte is the bucket of the name. */
export function hashName(name: string): string {
  return hash('sha256', name, 'base64url');
}

/** A new account id: `a` and 12 bytes in base64url, the first of which is the bucket. */
export function newAccountId(bucket: number): string {
  const bytes = randomBytes(ACCOUNT_BYTES);
  bytes[0] = bucket;
  return `a${bytes.toString('base64url')}`;
}

/** A new session id: `s`, the 12 bytes of its account's id and 6 random ones. */
export function newSessionId(accountId: string): string {
  return `s${accountId.slice(1)}${randomBase64url(SESSION_BYTES - ACCOUNT_BYTES)}`;
}

/** A new match id: `m` and 12 random bytes in base64url. */
export function newMatchId(): string {
  return `m${randomBytes(ACCOUNT_BYTES).toString('base64url')}`;
}

/** Whether an id is that of a match. */
export function isMatchId(id: string): boolean {
  return id[0] === 'm';
}

/** The account that a session belongs to. */
export function accountOfSession(sessionId: string): string {
  return `a${sessionId.slice(1, 17)}`;
}

/** The bucket that the id of an account, a session or a match carries. */
export function bucketOfId(id: string): number {
  return (sixBits(id.charCodeAt(1)) << 2) | (sixBits(id.charCodeAt(2)) >> 4);
}

/** What a letter of base64url stands for. @param code of the letter */
function sixBits(code: number): number {
  if (code >= 97) return code - 71; // a–z
  if (code === 95) return 63; // _
  if (code >= 65) return code - 65; // A–Z
  return code === 45 ? 62 : code + 4; // -, 0–9
}

/** Whether a text has the form of a session id. */
export function isSessionId(text: string): boolean {
  return text[0] === 's' && ID_PATTERN.test(text);
}

/** A new token: a version 4 UUID whose first byte is the bucket; 114 bits of it are random. */
export function newToken(bucket: number): string {
  return bucket.toString(16).padStart(2, '0') + randomUUID().slice(2);
}

/** The bucket that a token (a UUID in any letter case) carries. */
export function bucketOfToken(token: string): number {
  return Number.parseInt(token.slice(0, 2), 16);
}

/** What stands for a token in Redis and in the log: 128 bits of its SHA-256, in base64url (22 characters). */
export function hashToken(token: string): string {
  const whole = hash('sha256', token.toLowerCase(), 'base64url'); // a third of the time that it takes by way of a buffer
  return whole.slice(0, 21) + LAST_LETTERS[sixBits(whole.charCodeAt(21)) >> 4];
}

/** The 22nd letter of 128 bits in base64url stands for two bits, and four that are 0. */
const LAST_LETTERS = 'AQgw';

/** Random bytes on stock: asking for few at a time takes long. */
const stock = Buffer.alloc(6 * 1024);
let used = stock.length;

/** Random bytes in base64url. @param bytes at most as many as are on stock */
function randomBase64url(bytes: number): string {
  if (used + bytes > stock.length) {
    randomFillSync(stock);
    used = 0;
  }
  used += bytes;
  return stock.toString('base64url', used - bytes, used);
}
