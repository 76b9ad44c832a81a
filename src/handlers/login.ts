import { isTooLong } from '../account/registration.js';
import { ANSWERS, authSuccess, type Frame } from '../protocol/answers.js';
import type { Credentials } from '../store/accounts.js';
import { bucketOfId } from '../store/ids.js';
import { makeToken } from '../store/tokens.js';
import type { Client } from './client.js';
import type { Context } from './context.js';
import { type Handler, handler } from './handler.js';
import { beginSession, begun } from './hold.js';

/** `login`: authenticates by username and password, and issues a new token. */
export function loginHandler(context: Context): Handler {
  return handler(context.validators, {
    type: 'login',
    needsSession: false,
    invalid: ANSWERS.loginFormat,
    unavailable: ANSWERS.authUnavailable,
    async handle(client, { payload }) {
      const username = payload.username.normalize('NFC');

      // 1. may it be tried
      const admission = await context.attempts.beginLogin(username, client.address);
      if (!admission.admitted) {
        client.refuse(ANSWERS.tooManyAttempts);
        return;
      }

      // 2. is it the right password
      const { credentials, isRight } = await authenticate(context, client, username, payload.password).catch(
        (error) => {
          forgive(context, client, username);
          throw error;
        },
      );
      if (!credentials || !isRight) {
        await context.attempts.loginFailed(client.address);
        refuse(context, client, ANSWERS.badCredentials, credentials?.accountId);
        return;
      }
      forgive(context, client, username);
      if (!context.changes.admits(credentials.accountId)) {
        client.refuse(ANSWERS.tooManyAttempts);
        return;
      }

      // 3. record the token and the session, in one commit, and answer
      const { accountId } = credentials;
      const { token, record } = makeToken(bucketOfId(accountId), context.settings, context.clock.now());
      const owner = { accountId, username, token: record.token };
      const beginning = beginSession(context, client, owner);
      const command = { type: 'issueToken', ...record } as const;
      const issued = await context.accounts.execute(
        accountId,
        username,
        command,
        beginning.change,
        beginning.commit,
      );
      if (issued)
        await begun(context, client, owner, beginning.session, issued.at, authSuccess(username, token));
      else refuse(context, client, ANSWERS.accountDisabled, accountId);
    },
  });
}

function refuse(context: Context, client: Client, answer: Frame, account: string | undefined): void {
  context.logger.info({ address: client.address, account }, 'login failed');
  client.refuse(answer);
}

interface Authentication {
  /** Null if there is no such user. */
  readonly credentials: Credentials | null;
  readonly isRight: boolean;
}

/** Finds the user and checks the password. Takes as long if there is no such user. */
async function authenticate(
  context: Context,
  client: Client,
  username: string,
  password: string,
): Promise<Authentication> {
  const credentials = await context.accounts.find(username);
  const hash = credentials && !isTooLong(password) ? credentials.passwordHash : null;
  const isRight = await context.passwords.verify(
    hash,
    isTooLong(password) ? '' : password,
    () => client.isOpen,
  );
  return { credentials, isRight };
}

/** The attempt has not failed, whatever comes next. Should Redis go away just now, it is counted until its time runs out. */
function forgive({ attempts, logger }: Context, { address }: Client, username: string): void {
  attempts.loginDidNotFail(username, address).catch((error: unknown) => {
    logger.debug({ err: error }, 'login attempt could not be taken back');
  });
}
