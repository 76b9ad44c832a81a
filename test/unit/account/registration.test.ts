import { describe, expect, it } from 'vitest';
import { checkRegistration } from '../../../src/account/registration.js';

const good = { username: 'jane.doe', password: 'secret' };

describe('a registration', () => {
  it.each([
    [good, good],
    [{ ...good, email: '' }, good],
    [{ ...good, email: null }, good],
    [
      { ...good, email: 'jane@example.com' },
      { ...good, email: 'jane@example.com' },
    ],
    [
      { ...good, email: 'jane+tag@sub.example.co.uk' },
      { ...good, email: 'jane+tag@sub.example.co.uk' },
    ],
    [
      { ...good, email: 'jäne@exämple.com' },
      { ...good, email: 'jäne@exämple.com' },
    ],
    [
      { ...good, username: 'Anna Lena' },
      { ...good, username: 'Anna Lena' },
    ],
    [
      { ...good, username: '\u{1f600}\u{1f600}\u{1f600}' },
      { ...good, username: '\u{1f600}\u{1f600}\u{1f600}' },
    ],
    [
      { ...good, username: 'Ame\u0301lie' },
      { ...good, username: 'Am\u00e9lie' },
    ],
    [
      { ...good, username: 'x'.repeat(50) },
      { ...good, username: 'x'.repeat(50) },
    ],
    [
      { ...good, username: '\u{1f600}'.repeat(50) },
      { ...good, username: '\u{1f600}'.repeat(50) },
    ],
    [
      { ...good, password: 'x'.repeat(128) },
      { ...good, password: 'x'.repeat(128) },
    ],
    [
      { ...good, username: '__proto__' },
      { ...good, username: '__proto__' },
    ],
    [
      { ...good, username: 'Влади́мир' },
      { ...good, username: 'Влади́мир' },
    ],
  ])('with %j is taken as %j', (request, expected) => {
    expect(checkRegistration(request, 6)).toEqual(expected);
  });

  it.each([
    [{ ...good, username: 'jd' }, 'usernameShort'],
    [{ ...good, username: '\u{1f600}\u{1f600}' }, 'usernameShort'],
    [{ ...good, username: '' }, 'usernameShort'],
    [{ username: 'jd', password: 'x' }, 'usernameShort'],
    [{ ...good, password: 'x'.repeat(5) }, 'passwordShort'],
    [{ ...good, password: '\u{1f600}'.repeat(5) }, 'passwordShort'],
    [{ username: 'x'.repeat(51), password: 'short' }, 'passwordShort'],
    [{ ...good, username: 'x'.repeat(51) }, 'usernameLong'],
    [{ ...good, username: 'x'.repeat(100_000) }, 'usernameLong'],
    [{ ...good, username: '\u{1f600}'.repeat(51) }, 'usernameLong'],
    [{ ...good, username: 'jane\u0000doe' }, 'usernameInvisible'],
    [{ ...good, username: 'jane\ndoe' }, 'usernameInvisible'],
    [{ ...good, username: 'jane\u200bdoe' }, 'usernameInvisible'],
    [{ ...good, username: 'jane\u202edoe' }, 'usernameInvisible'],
    [{ ...good, username: 'jane\u00a0doe' }, 'usernameInvisible'],
    [{ ...good, username: 'jane\ud800doe' }, 'usernameInvisible'],
    [{ ...good, username: '\u3164\u3164\u3164' }, 'usernameInvisible'],
    [{ ...good, username: '    ' }, 'usernameInvisible'],
    [{ ...good, password: 'x'.repeat(129) }, 'passwordLong'],
    [{ ...good, email: 'jane' }, 'email'],
    [{ ...good, email: 'jane@localhost' }, 'email'],
    [{ ...good, email: 'jane@@example.com' }, 'email'],
    [{ ...good, email: 'jane doe@example.com' }, 'email'],
    [{ ...good, email: '@example.com' }, 'email'],
    [{ ...good, email: 'jane@example..com' }, 'email'],
    [{ ...good, email: `jane@${'x'.repeat(250)}.com` }, 'email'],
    [{ ...good, email: ' ' }, 'email'],
  ])('with %j is refused: %s', (request, problem) => {
    expect(checkRegistration(request, 6)).toEqual({ problem });
  });

  it('needs a password as long as asked for, in characters', () => {
    const request = { ...good, password: '\u{1f600}'.repeat(11) };
    expect(checkRegistration(request, 12)).toEqual({ problem: 'passwordShort' });
    expect(checkRegistration(request, 11)).toEqual(request);
  });
});
