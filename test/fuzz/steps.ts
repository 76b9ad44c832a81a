import { setTimeout } from 'node:timers/promises';
import fc from 'fast-check';
import { expect } from 'vitest';
import type { Message } from '../support/client.js';
import { tokenOf } from '../support/conversation.js';
import { authError, INVALID_MESSAGE, registrationError } from '../support/expected.js';
import type { Real } from './real.js';
import type { Effect, Reference } from './reference.js';

/** A step of a conversation: what is done to the server, and what the reference says must come of it. */
type Step = fc.AsyncCommand<Reference, Real>;

/** Connections at the same time. */
const CONNECTIONS = 5;

/** Tokens that are tried: few, so that some have several sessions. */
const LATEST_TOKENS = 6;

/** The longest conversation. */
const MOST_STEPS = 80;

/** Names of accounts and sessions; those of each conversation are its own, see `Real.name`. */
export const NAMES = ['ann', 'bob', 'cleo', 'Zo\u00eb'] as const;
export const PASSWORD = 'openchamp';
const WRONG = 'not openchamp';
const BOGUS = '550e8400-e29b-41d4-a716-446655440000';

/** Any of what there is, or nothing. */
function pick<T>(all: readonly T[], index: number): T | undefined {
  return all[index % all.length];
}

function connectionOf(reference: Reference, index: number): number | undefined {
  return pick([...reference.connections.keys()], index);
}

/** A step that does something on a connection. */
class OnConnection implements Step {
  constructor(
    private readonly index: number,
    private readonly what: string,
    private readonly act: (reference: Reference, real: Real, connection: number) => Promise<void>,
  ) {}

  check(reference: Readonly<Reference>): boolean {
    return reference.connections.size > 0;
  }

  async run(reference: Reference, real: Real): Promise<void> {
    await this.act(reference, real, connectionOf(reference, this.index)!);
    await setTimeout(2); // which of two sessions changed last is told by the millisecond
  }

  toString(): string {
    return `#${this.index}: ${this.what}`;
  }
}

/** A request whose effects can be told before it is sent. */
interface Request {
  readonly type: string;
  readonly text: (real: Real) => string;
  readonly effects: (reference: Reference, connection: number, real: Real) => Effect[];
}

function json(type: string, payload?: unknown): string {
  return JSON.stringify({ type, payload });
}

const index = fc.nat(99);
const text = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<unknown>('', 'x'.repeat(500), '\u{1f600}'.repeat(501), 7, null, ['x']),
  },
);

/** Requests that only their own connection hears of. */
const quiet: fc.Arbitrary<Request> = fc.oneof(
  {
    weight: 4,
    arbitrary: requests('logout', [undefined, null, 'x', { a: 1 }], (reference, connection) =>
      reference.logout(connection),
    ),
  },
  {
    weight: 2,
    arbitrary: requests('set_username', ['', ' ', 'x'.repeat(51), 'a\u200bb', 7, {}], (reference, ...rest) =>
      reference.setUsername(...rest),
    ),
  },
  {
    weight: 4,
    arbitrary: fc.constantFrom(...NAMES, 'Zoe\u0308').map(
      (name): Request => ({
        type: `set_username ${name}`,
        text: (real) => json('set_username', real.name(name)),
        effects: (reference, connection, real) => reference.setUsername(connection, real.name(name)),
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: requests('join_queue', [undefined], (reference, connection) =>
      reference.joinQueue(connection),
    ),
  },
  {
    weight: 1,
    arbitrary: requests('leave_queue', [undefined], (reference, connection) =>
      reference.leaveQueue(connection),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('hello', '', 'LOGOUT', '__proto__').map(
      (type): Request => ({
        type,
        text: () => json(type),
        effects: (reference, connection) => reference.unknownType(connection),
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('', '{', '[]', '{"type":1}', 'logout', '{"type":"logout"}}').map(
      (text): Request => ({
        type: text,
        text: () => text,
        effects: (_, connection) => [{ connection, message: INVALID_MESSAGE }],
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: requests(
      'token_auth',
      [{}, { token: 'x' }, { token: BOGUS, resume: 'yes' }, null],
      (_, connection) => [{ connection, message: authError('Invalid token format') }],
    ),
  },
);

function requests(
  type: string,
  payloads: readonly unknown[],
  effects: (reference: Reference, connection: number, payload: unknown) => Effect[],
): fc.Arbitrary<Request> {
  return fc.constantFrom(...payloads).map((payload) => ({
    type,
    text: () => json(type, payload),
    effects: (reference, connection) => effects(reference, connection, payload),
  }));
}

/** All steps of a conversation. */
export function conversations(): fc.Arbitrary<Iterable<Step>> {
  const name = fc.constantFrom(...NAMES);

  const open = fc.nat(1).map(
    (node): Step => ({
      check: ({ connections }) => connections.size < CONNECTIONS,
      async run(reference, real) {
        reference.open(await real.open(node));
      },
      toString: () => `connect to node ${node}`,
    }),
  );

  const register = fc.tuple(index, name, fc.constantFrom(PASSWORD, PASSWORD, 'short')).map(
    ([at, short, password]) =>
      new OnConnection(at, `register ${short} ${password}`, async (reference, real, connection) => {
        const username = real.name(short);
        const answer = await real
          .client(connection)
          .request({ type: 'register', payload: { username, password } });
        if (password === 'short') {
          expect(answer).toEqual(registrationError('Password must be at least 6 characters'));
        } else if (!reference.isFree(username)) {
          expect(answer).toEqual(registrationError('Username already exists'));
        } else {
          expect(answer).toEqual({
            type: 'register_success',
            payload: {
              success: true,
              message: 'Registration successful',
              autoLogin: true,
              username,
              token: expect.any(String),
            },
          });
          reference.addAccount(username, password);
          reference.begin(connection, username, tokenOf(answer));
        }
      }),
  );

  const login = fc.tuple(index, name, fc.constantFrom(PASSWORD, PASSWORD, PASSWORD, WRONG)).map(
    ([at, short, password]) =>
      new OnConnection(at, `login ${short} ${password}`, async (reference, real, connection) => {
        const username = real.name(short);
        const answer = await real
          .client(connection)
          .request({ type: 'login', payload: { username, password } });
        if (!reference.isPassword(username, password)) {
          expect(answer).toEqual(authError('Invalid username or password'));
          return;
        }
        expect(answer).toEqual({ type: 'auth_success', payload: { username, token: expect.any(String) } });
        reference.begin(connection, username, tokenOf(answer));
      }),
  );

  const tokenAuth = fc.tuple(index, index, fc.constantFrom(undefined, false, true), fc.boolean()).map(
    ([at, which, resume, isShouted]) =>
      new OnConnection(at, `token_auth ${which} resume ${resume}`, async (reference, real, connection) => {
        const known = which === 0 ? BOGUS : pick(reference.tokens.slice(-LATEST_TOKENS), which)!;
        const token = isShouted ? known.toUpperCase() : known;
        const effects = reference.tokenAuth(connection, token, resume === true);
        real.client(connection).send({ type: 'token_auth', payload: { token, resume } });
        await real.expectEffects(effects);
      }),
  );

  const request = fc.tuple(index, quiet).map(
    ([at, { type, text, effects }]) =>
      new OnConnection(at, type, async (reference, real, connection) => {
        real.client(connection).sendText(text(real));
        await real.expectEffects(effects(reference, connection, real));
      }),
  );

  const burst = fc.tuple(index, fc.array(quiet, { minLength: 2, maxLength: 8 })).map(
    ([at, requests]) =>
      new OnConnection(
        at,
        requests.map(({ type }) => type).join(', '),
        async (reference, real, connection) => {
          for (const { text } of requests) real.client(connection).sendText(text(real));
          await real.expectEffects(requests.flatMap(({ effects }) => effects(reference, connection, real)));
        },
      ),
  );

  const say = fc.tuple(index, text).map(
    ([at, payload]) =>
      new OnConnection(at, `global_chat ${payload}`, async (reference, real, connection) => {
        real.client(connection).send({ type: 'global_chat', payload });
        await real.expectEffects(reference.globalChat(connection, payload));
      }),
  );

  const whisper = fc.tuple(index, name, text).map(
    ([at, short, message]) =>
      new OnConnection(at, `private_chat ${short} ${message}`, async (reference, real, connection) => {
        const client = real.client(connection);
        const target = real.name(short);
        client.send({ type: 'private_chat', payload: { target, message } });
        await real.expectEffects(reference.privateChat(connection, target, message));
        // it is not answered: whoever comes next must not be found by it
        await client.request({ type: 'no such type' });
      }),
  );

  const count = index.map(
    (at) =>
      new OnConnection(at, 'count', async (reference, real, connection) => {
        const answer = await real.client(connection).request({ type: 'count' });
        const counted: Message = { type: 'player_count', payload: expect.any(Number) };
        const [refused] = reference.unknownType(connection);
        expect(answer).toEqual(reference.connections.get(connection) ? counted : refused!.message);
      }),
  );

  const logoutAll = index.map(
    (at) =>
      new OnConnection(at, 'logout_all', async (reference, real, connection) => {
        real.client(connection).send({ type: 'logout_all' });
        await real.expectEffects(reference.logoutAll(connection));
      }),
  );

  const leave = fc.tuple(index, fc.constantFrom('close', 'reset', 'logout')).map(
    ([at, how]) =>
      new OnConnection(at, `leaves by ${how}`, async (reference, real, connection) => {
        const client = real.client(connection);
        if (how === 'logout') {
          client.send({ type: 'logout' });
          reference.logout(connection);
        }
        if (how === 'reset') client.destroy('rst');
        else client.ws.close();
        await client.closed;
        real.forget(connection);
        reference.close(connection);
        await real.expectRecorded(reference);
      }),
  );

  const operator = fc.tuple(fc.constantFrom(...NAMES), fc.boolean()).map(
    ([short, revoke]): Step => ({
      check: () => true,
      async run(reference, real) {
        const username = real.name(short);
        if (!reference.isRegistered(username)) return;
        const effects = reference.endAll(username, 'operator', revoke);
        const { code, stderr } = await real.fleet.cli(
          'logout',
          username,
          ...(revoke ? ['--revoke-tokens'] : []),
        );
        expect(code, stderr).toBe(0);
        await real.expectEffects(effects);
      },
      toString: () => `operator: logout ${short}${revoke ? ' --revoke-tokens' : ''}`,
    }),
  );

  const step = fc.oneof<{ weight: number; arbitrary: fc.Arbitrary<Step> }[]>(
    { weight: 6, arbitrary: open },
    { weight: 4, arbitrary: login },
    { weight: 9, arbitrary: tokenAuth },
    { weight: 9, arbitrary: request },
    { weight: 5, arbitrary: burst },
    { weight: 3, arbitrary: register },
    { weight: 4, arbitrary: say },
    { weight: 4, arbitrary: whisper },
    { weight: 1, arbitrary: count },
    { weight: 5, arbitrary: leave },
    { weight: 1, arbitrary: logoutAll },
    { weight: 1, arbitrary: operator },
  );
  return fc.noBias(fc.commands([step], { maxCommands: MOST_STEPS, size: 'max' })); // or most would be short
}
