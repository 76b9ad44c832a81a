import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Backend, FORMS } from '../support/backends.js';
import { connect, type TestClient } from '../support/client.js';
import { expectWellFormed, SOON } from '../support/expected.js';
import { type Account, expectSound, Fleet, PASSWORD } from '../support/fleet.js';
import { encodeFrame } from '../support/frames.js';
import { countByType } from '../support/log.js';
import type { NodeProcess } from '../support/processes.js';
import { Random } from '../support/random.js';

/** To see a failure again, set SEED to what it names. */
const SEED = Number(process.env.SEED ?? randomInt(2 ** 31));

const CLIENTS = 16;
const MESSAGES = 100;

/** A request, whether it begins (true) or ends (false) a session, and its answer with a session and without. */
interface Request {
  readonly text: string;
  readonly session?: boolean;
  readonly answers: readonly [withSession: string, without: string];
}

function same(text: string, answer: string, session?: boolean): Request {
  return { text, answers: [answer, answer], ...(session !== undefined && { session }) };
}

function requestsOf({ username, token }: Account): readonly [Request, ...Request[]] {
  const json = (type: string, payload?: unknown) => JSON.stringify({ type, payload });
  const login = (password: string) => json('login', { username, password });
  return [
    same(json('token_auth', { token }), `auth_success ${username}`, true),
    same(json('token_auth', { token }), `auth_success ${username}`, true),
    same(login(PASSWORD), `auth_success ${username}`, true),
    same(login('wrong password'), 'auth_error Invalid username or password'),
    same(login('short'), 'auth_error Invalid login format'),
    same(json('token_auth', { token: crypto.randomUUID() }), 'auth_error Invalid or expired token'),
    same(json('register', { username, password: PASSWORD }), 'error REGISTRATION_ERROR'),
    same('no message', 'error INVALID_MESSAGE'),
    { text: json('no such type'), answers: ['error UNKNOWN_TYPE', 'error AUTH_REQUIRED'] },
    { text: json('logout'), session: false, answers: ['logged_out', 'error AUTH_REQUIRED'] },
    { text: json('logout', token), session: false, answers: ['logged_out', 'error AUTH_REQUIRED'] },
  ];
}

describe.each(FORMS)('answers, with $name,', ({ start }) => {
  let backend: Backend;
  let fleet: Fleet;
  let node: NodeProcess;

  beforeAll(async () => {
    backend = await start();
    fleet = new Fleet({ ...backend.env, TOKENS_PER_ACCOUNT: '0', HASH_QUEUE: '0' }, backend.client());
    node = await fleet.serve();
  });

  afterAll(async () => {
    await fleet?.stop();
    await backend?.stop();
  });

  it(`come in the order of the requests, whatever is sent ahead and in whatever pieces (SEED=${SEED})`, async () => {
    const random = new Random(SEED);
    const accounts = await fleet.seed(CLIENTS);
    const plans = accounts.map((account) => {
      const requests = requestsOf(account);
      return Array.from({ length: MESSAGES }, () => random.pick(requests));
    });
    const began = plans.flat().filter(({ session }) => session).length;
    let loggedOut = 0;
    let replaced = 0;

    await Promise.all(
      plans.map(async (plan) => {
        const client = await connect(node.wsUrl);
        writeInPieces(client, plan, random);
        let hasSession = false;
        for (const { text, session, answers } of plan) {
          expect(summaryOf(await client.next(30_000)), text).toBe(answers[hasSession ? 0 : 1]);
          if (hasSession && session === true) replaced += 1;
          if (hasSession && session === false) loggedOut += 1;
          hasSession = session ?? hasSession;
        }
        expectWellFormed(client);
        await client.close();
      }),
    );

    await expect
      .poll(async () => countByType(await fleet.log()), SOON)
      .toMatchObject({
        'session.started': began,
        'session.logged_out': loggedOut,
        'session.replaced': replaced,
        ...(began > loggedOut + replaced && { 'session.detached': began - loggedOut - replaced }),
      });
    expectSound(await fleet.log());
  });
});

/** Sends all requests at once, cut anywhere. */
function writeInPieces(client: TestClient, plan: readonly Request[], random: Random): void {
  const bytes = Buffer.concat(plan.map(({ text }) => encodeFrame(text)));
  for (let start = 0; start < bytes.length; ) {
    const end = start + 1 + random.below(random.pick([3, 100, 5000]));
    client.writeRaw(bytes.subarray(start, end));
    start = end;
  }
}

/** The type of a message, and what tells it from others of its type. */
function summaryOf({ type, payload }: { type: string; payload?: unknown }): string {
  const { code, username, message } = (payload ?? {}) as Record<string, string | undefined>;
  return [type, code ?? username ?? message].filter(Boolean).join(' ');
}
