import { randomBytes } from 'node:crypto';

/** A key prefix (`t…:`) that no other test has, so that tests can share a Redis server. */
export function uniquePrefix(): string {
  return `t${randomBytes(6).toString('hex')}:`;
}
