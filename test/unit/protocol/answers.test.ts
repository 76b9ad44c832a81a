import { describe, expect, it } from 'vitest';
import type { LoggedOut } from '../../../src/contract/server.generated.js';
import { compileServerValidators } from '../../../src/contract/validators.js';
import {
  ANSWERS,
  authSuccess,
  displayNameUpdated,
  globalChat,
  loggedOutBy,
  matchFound,
  playerCount,
  privateChat,
  registerSuccess,
  registrationError,
} from '../../../src/protocol/answers.js';
import { registrationTexts } from '../../../src/protocol/errors.js';
import { textOf } from '../../support/expected.js';

type Reason = NonNullable<LoggedOut['payload']>['reason'];

const REASONS = { operator: true, account: true } satisfies Record<Reason, true>;
const TOKEN = '550e8400-e29b-41d4-a716-446655440000';
const NAMES = ['jane.doe', '😀😀😀', 'with "quotes" and \\', '</script>', 'a\u2028b'];

const FRAMES: [name: string, frame: string][] = [
  ...Object.entries(ANSWERS).map(([name, frame]): [string, string] => [name, textOf(frame)]),
  ...Object.entries(registrationTexts(8)).map(([problem, text]): [string, string] => [
    `a registration refused for ${problem}`,
    registrationError(text),
  ]),
  ...Object.keys(REASONS).map((reason): [string, string] => [
    `a logout by the ${reason}`,
    loggedOutBy(reason as Reason),
  ]),
  ['a count', playerCount(42)],
  ['a match', matchFound('10.1.2.3', 7001, 'id', NAMES)],
  ...NAMES.flatMap((name): [string, string][] => [
    [`a login of ${name}`, authSuccess(name, TOKEN.toUpperCase())],
    [`a registration of ${name}`, registerSuccess(name, TOKEN)],
    [`a renaming to ${name}`, displayNameUpdated(name)],
    [`what ${name} says to all`, globalChat(name, name)],
    [`what ${name} says to one`, privateChat(name, name)],
  ]),
];

const VALIDATORS = compileServerValidators();

describe('answers', () => {
  it.each(FRAMES)('%s: is compact JSON, type first, and valid against its schema', (_, frame) => {
    const message = JSON.parse(frame) as { type: string };
    expect(JSON.stringify(message)).toBe(frame);
    expect(['type', 'type,payload']).toContain(Object.keys(message).join());
    const validate = VALIDATORS.get(message.type)!;
    validate(message);
    expect(validate.errors).toBeNull();
  });

  it('are of every type that has a schema', () => {
    const types = new Set(FRAMES.map(([, frame]) => (JSON.parse(frame) as { type: string }).type));
    expect([...types].sort()).toEqual([...VALIDATORS.keys()].sort());
  });

  it('have their members in the order of the manual', () => {
    expect(textOf(ANSWERS.loggedOut)).toBe('{"type":"logged_out"}');
    expect(textOf(ANSWERS.authRequired)).toBe(
      '{"type":"error","payload":{"message":"Authentication required","code":"AUTH_REQUIRED"}}',
    );
    expect(globalChat('jane.doe', 'Hello everyone!')).toBe(
      '{"type":"global_chat","payload":{"username":"jane.doe","message":"Hello everyone!"}}',
    );
    expect(matchFound('10.1.2.3', 7001, '<id>', ['a', 'b'])).toBe(
      '{"type":"match_found","payload":{"port":7001,"players":["a","b"],"containerID":"<id>","host":"10.1.2.3"}}',
    );
    expect(playerCount(42)).toBe('{"type":"player_count","payload":42}');
    expect(displayNameUpdated('CoolGamer42')).toBe('{"type":"display_name_updated","payload":"CoolGamer42"}');
    expect(authSuccess('jane.doe', TOKEN)).toBe(
      `{"type":"auth_success","payload":{"username":"jane.doe","token":"${TOKEN}"}}`,
    );
    expect(registerSuccess('john.smith', TOKEN)).toBe(
      `{"type":"register_success","payload":{"success":true,"message":"Registration successful","autoLogin":true,"username":"john.smith","token":"${TOKEN}"}}`,
    );
  });
});
