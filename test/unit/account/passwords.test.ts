import { describe, expect, it } from 'vitest';
import { HashingOverloaded, NotWanted, Passwords } from '../../../src/account/passwords.js';

describe('passwords', () => {
  it('are hashed by argon2id with the recommended parameters, and recognised', async () => {
    const passwords = await Passwords.create({ concurrency: 2, queue: 0 });
    const hash = await passwords.hash('correct horse');
    expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(await passwords.verify(hash, 'correct horse')).toBe(true);
    expect(await passwords.verify(hash, 'correct house')).toBe(false);
    expect(await passwords.verify(null, 'correct horse')).toBe(false);
  });

  it('are hashed only so many at a time, and only so many may wait', async () => {
    const passwords = await Passwords.create({ concurrency: 1, queue: 2 });
    const admitted = [1, 2, 3].map(() => passwords.hash('secret'));
    expect(passwords.queued).toBe(2);
    await expect(passwords.hash('secret')).rejects.toThrow(HashingOverloaded);
    expect(await Promise.all(admitted)).toHaveLength(3);
    expect(passwords.queued).toBe(0);
    await expect(passwords.hash('secret')).resolves.toBeTypeOf('string');
  });

  it('are not hashed for those who have gone, and their place goes to the next', async () => {
    const passwords = await Passwords.create({ concurrency: 1, queue: 0 });
    const first = passwords.hash('secret');
    const gone = passwords.hash('secret', () => false);
    const next = passwords.hash('secret');
    await expect(gone).rejects.toThrow(NotWanted);
    expect(await Promise.all([first, next])).toHaveLength(2);
  });
});
