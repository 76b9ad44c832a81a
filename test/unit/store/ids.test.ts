import { describe, expect, it } from 'vitest';
import {
  accountOfSession,
  bucketOfId,
  bucketOfToken,
  bucketOfUsername,
  hashName,
  hashToken,
  isMatchId,
  isSessionId,
  newAccountId,
  newMatchId,
  newSessionId,
  newToken,
} from '../../../src/store/ids.js';

const BUCKETS = Array.from({ length: 256 }, (_, bucket) => bucket);
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe('ids', () => {
  it.each(BUCKETS)('carry bucket %i', (bucket) => {
    const account = newAccountId(bucket);
    const session = newSessionId(account);
    const token = newToken(bucket);
    expect(account).toMatch(/^a[A-Za-z0-9_-]{16}$/);
    expect(session).toMatch(/^s[A-Za-z0-9_-]{24}$/);
    expect(token).toMatch(UUID);
    expect([account, session].map(bucketOfId)).toEqual([bucket, bucket]);
    expect([token, token.toUpperCase()].map(bucketOfToken)).toEqual([bucket, bucket]);
    expect(accountOfSession(session)).toBe(account);
  });

  it('are told apart', () => {
    const account = newAccountId(7);
    const ids = [account, newSessionId(account), newMatchId()];
    expect(ids.map(isSessionId)).toEqual([false, true, false]);
    expect(ids.map(isMatchId)).toEqual([false, false, true]);
    for (const text of ['', 's', 'sam', `${ids[1]}x`, ids[1]!.slice(1), 's'.repeat(26)]) {
      expect(isSessionId(text)).toBe(false);
    }
  });

  it('of matches are of any bucket', () => {
    const buckets = new Set(Array.from({ length: 5000 }, () => bucketOfId(newMatchId())));
    expect(buckets.size).toBe(256);
  });

  it('are never the same', () => {
    const account = newAccountId(1);
    const make = [() => newAccountId(1), () => newSessionId(account), () => newToken(1), () => newMatchId()];
    for (const one of make) expect(new Set(Array.from({ length: 1000 }, one)).size).toBe(1000);
  });
});

describe('usernames', () => {
  it('are spread over all buckets', () => {
    const counts = new Array<number>(256).fill(0);
    for (let i = 0; i < 25_600; i += 1) counts[bucketOfUsername(`player${i}`)]! += 1;
    expect(Math.min(...counts)).toBeGreaterThan(50);
    expect(Math.max(...counts)).toBeLessThan(170);
  });

  it('have the bucket of their hash, so that claims lie beside accounts', () => {
    for (const name of ['jane.doe', '🦀', 'é']) {
      expect(Buffer.from(hashName(name), 'base64url')[0]).toBe(bucketOfUsername(name));
    }
  });
});

describe('hashes of tokens', () => {
  it('are the same in any letter case, and do not hold the token', () => {
    const token = newToken(200);
    expect(hashToken(token.toUpperCase())).toBe(hashToken(token));
    expect(hashToken(token)).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect(hashToken(newToken(200))).not.toBe(hashToken(token));
  });
});
