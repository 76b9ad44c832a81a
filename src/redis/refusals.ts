import type { Logger } from 'pino';
import { isPassing } from './client.js';
import { Unavailable } from './unavailable.js';

/** How long a refusal that has been logged is not logged again, in ms. */
const QUIET_MS = 60_000;

/**
 * Logs what Redis refuses for good, such as a command that the user has no right to: to clients that looks as if Redis were
 * away, and an operator must see that it isn't. Each distinct refusal once a minute.
 */
export class Refusals {
  private readonly quietUntil = new Map<string, number>();

  constructor(private readonly logger: Logger) {}

  /** An error has been caught that may come from Redis. @returns whether it is a refusal for good */
  note(error: unknown): boolean {
    const reply = error instanceof Unavailable ? error.cause : error;
    if (!(reply instanceof Error) || isPassing(reply)) return false;
    const now = performance.now();
    const [code = ''] = reply.message.split(' ', 1);
    if (now < (this.quietUntil.get(code) ?? 0)) return true;
    this.quietUntil.set(code, now + QUIET_MS);
    this.logger.error({ err: reply }, 'Redis refuses a command');
    return true;
  }
}
