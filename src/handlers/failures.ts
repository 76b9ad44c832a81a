import type { Logger } from 'pino';
import { HashingOverloaded, NotWanted } from '../account/passwords.js';
import { Refusals } from '../redis/refusals.js';
import { Unavailable } from '../redis/unavailable.js';

/** Failures that are part of the plan. */
const EXPECTED = [Unavailable, HashingOverloaded, NotWanted];

/** Makes what is called with every error that a client is not told of: logs what an operator should know. */
export function failureLog(logger: Logger): (error: unknown, facts: object) => void {
  const refusals = new Refusals(logger);
  return (error, facts) => {
    refusals.note(error);
    if (EXPECTED.some((expected) => error instanceof expected)) return;
    logger.error({ err: error, ...facts }, 'message could not be handled');
  };
}
