import type { ValidateFunction } from 'ajv';
import type { ClientMessage, RegisterMessage } from '../contract/client.generated.js';
import { registrationTexts } from '../protocol/errors.js';
import type { Context } from './context.js';
import { failureLog } from './failures.js';
import { inTime } from './hold.js';
import { type RegistrationRefusal, recordAccount, registerAccount } from './register.js';

/** An answer over HTTP. */
export interface HttpAnswer {
  readonly status: string;
  readonly contentType: string;
  readonly body: string;
  readonly retryAfterSeconds?: number;
}

/** `POST /register`: creates an account, without a session or token. Never throws. */
export type HttpRegister = (body: Buffer, address: string, isWanted: () => boolean) => Promise<HttpAnswer>;

export function httpRegister(context: Context): HttpRegister {
  const isValid = context.validators.get('register') as ValidateFunction<ClientMessage>;
  const logFailure = failureLog(context.logger);
  return async (body, address, isWanted) => {
    const request = parse(body, isValid);
    if (!request) return text('400 Bad Request', 'Invalid request body');
    try {
      const refusal = await registerAccount(context, request.payload, {
        address,
        isWanted,
        record: async (credentials, guard) =>
          (await recordAccount(context, credentials, null, [guard], inTime(context, keep))) !== null,
      });
      return refusal ? refused(refusal, context.settings.passwordMin) : CREATED;
    } catch (error) {
      logFailure(error, { type: 'POST /register' });
      return text('500 Internal Server Error', 'Internal server error');
    }
  };
}

const CREATED: HttpAnswer = {
  status: '201 Created',
  contentType: 'application/json',
  body: JSON.stringify({ status: 'success', message: 'User registered successfully' }),
};

function refused({ problem, retryAfterSeconds }: RegistrationRefusal, passwordMin: number): HttpAnswer {
  const texts = registrationTexts(passwordMin);
  switch (problem) {
    case 'usernameShort':
    case 'passwordShort':
      return text(
        '400 Bad Request',
        `Username must be at least 3 characters and password at least ${passwordMin} characters`,
      );
    case 'usernameTaken':
    case 'emailTaken':
      return text('409 Conflict', 'Username or email already exists');
    case 'attempts':
      return {
        ...text('429 Too Many Requests', texts.attempts),
        ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
      };
    default:
      return text('400 Bad Request', texts[problem]);
  }
}

/** A plain text as an answer. */
export function text(status: string, body: string): HttpAnswer {
  return { status, contentType: 'text/plain', body };
}

/** The body has the shape of the payload of `register`. */
function parse(body: Buffer, isValid: ValidateFunction<ClientMessage>): RegisterMessage | null {
  try {
    const payload: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
    const message = { type: 'register', payload };
    return isValid(message) && message.type === 'register' ? (message as RegisterMessage) : null;
  } catch {
    return null;
  }
}

/** An account that comes through too late stays: nobody is logged in by it. */
function keep(): void {}
