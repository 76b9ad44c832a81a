import { checkRegistration, type RegistrationRequest } from '../account/registration.js';
import { registerSuccess, registrationError } from '../protocol/answers.js';
import { type RegistrationTexts, registrationTexts } from '../protocol/errors.js';
import type { Credentials, NewToken } from '../store/accounts.js';
import { type Change, type Commit, joined } from '../store/change.js';
import { bucketOfId, hashName } from '../store/ids.js';
import { makeToken } from '../store/tokens.js';
import { settleClaim } from './claim.js';
import type { Context } from './context.js';
import { type Handler, handler } from './handler.js';
import { beginSession, begun, inTime } from './hold.js';

/** `register`: creates an account and authenticates the connection. */
export function registerHandler(context: Context): Handler {
  const texts = registrationTexts(context.settings.passwordMin);
  return handler(context.validators, {
    type: 'register',
    needsSession: false,
    invalid: registrationError(texts.format),
    unavailable: registrationError(texts.server),
    async handle(client, { payload }) {
      const refusal = await registerAccount(context, payload, {
        address: client.address,
        isWanted: () => client.isOpen,
        record: async (credentials, guard) => {
          const { accountId, username } = credentials;
          const { token, record } = makeToken(bucketOfId(accountId), context.settings, context.clock.now());
          const owner = { accountId, username, token: record.token };
          const beginning = beginSession(context, client, owner);
          const also = [beginning.change, guard];
          const at = await recordAccount(context, credentials, record, also, beginning.commit);
          if (at === null) return false;
          await begun(context, client, owner, beginning.session, at, registerSuccess(username, token));
          return true;
        },
      });
      if (refusal) client.refuse(registrationError(texts[refusal.problem]));
    },
  });
}

/** Why a registration was refused. */
export interface RegistrationRefusal {
  readonly problem: keyof RegistrationTexts;
  /** Only when there were too many. */
  readonly retryAfterSeconds?: number;
}

interface Registrant {
  /** What the client is counted under. */
  readonly address: string;
  /** Whether anybody still waits for the result. */
  readonly isWanted: () => boolean;
  /** Commits the account with its guard, and whatever belongs to it; false if the username is taken. */
  record(credentials: Credentials, guard: Change): Promise<boolean>;
}

/**
 * Registers an account.
 * @returns null when it is registered
 * @throws Unavailable, HashingOverloaded, NotWanted
 */
export async function registerAccount(
  context: Context,
  request: RegistrationRequest,
  registrant: Registrant,
): Promise<RegistrationRefusal | null> {
  const { accounts, attempts, claims, names, passwords, settings } = context;
  // 1. what can be seen without asking anybody
  const registration = checkRegistration(request, settings.passwordMin);
  if ('problem' in registration) return registration;
  const { username, password, email } = registration;

  // 2. has the address tried too often
  const admission = await attempts.beginRegistration(registrant.address);
  if (!admission.admitted) return { problem: 'attempts', retryAfterSeconds: admission.retryAfterSeconds };

  // 3. what is taken already, before a password is hashed for it
  const uniqueEmail = settings.uniqueEmails ? email : undefined;
  if ((await accounts.find(username)) || !(await names.isFree(username))) {
    return { problem: 'usernameTaken' };
  }
  if (uniqueEmail !== undefined && (await claims.find('email', hashEmail(uniqueEmail)))) {
    return { problem: 'emailTaken' };
  }

  // 4. record it
  const hash = await passwords.hash(password, registrant.isWanted);
  const credentials = accounts.credentials(username, hash, email);
  if (uniqueEmail === undefined) {
    const isRecorded = await registrant.record(credentials, names.guard(username));
    return isRecorded ? null : { problem: 'usernameTaken' };
  }
  return recordWithEmail(context, credentials, uniqueEmail, registrant);
}

/** Reserve, commit, settle; see `Claims`. What fails in between is settled by the sweep. */
async function recordWithEmail(
  context: Context,
  credentials: Credentials,
  email: string,
  registrant: Registrant,
): Promise<RegistrationRefusal | null> {
  const { claims, names } = context;
  const { accountId, username } = credentials;
  const commit = inTime(context, leaveToSweep);
  const claim = await claims.reserve('email', hashEmail(email), accountId, commit);
  if (typeof claim === 'number') return { problem: 'emailTaken' };
  const guard = joined(names.guard(username), claims.guard(claim));
  const isRecorded = await registrant.record(credentials, guard);
  settleClaim(context, claim);
  return isRecorded ? null : { problem: 'usernameTaken' };
}

/**
 * Commits an account as it is registered, with its first token if it gets one.
 * @returns when it was recorded (Redis' time in ms), or null if the username is taken
 */
export async function recordAccount(
  { accounts }: Context,
  credentials: Credentials,
  token: NewToken | null,
  also: readonly Change[],
  commit: Commit,
): Promise<number | null> {
  return accounts.register(credentials, token, joined(...also), commit);
}

/** Addresses are the same in any letter case. */
function hashEmail(email: string): string {
  return hashName(email.normalize('NFC').toLowerCase());
}

function leaveToSweep(): void {}
