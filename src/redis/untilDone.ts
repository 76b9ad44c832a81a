import type { Logger } from 'pino';
import { isRedisReply } from './client.js';
import { Refusals } from './refusals.js';
import { Unavailable } from './unavailable.js';

/**
 * Does something that is not to be put off: while Redis is away, or refuses, it is tried again, for as long as the process
 * lives.
 * @param ended is called at the end, whichever it is
 * @throws whatever else `work` throws
 */
export type UntilDone = <T>(work: () => Promise<T>, ended?: () => void) => Promise<T>;

const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 1000;
/** The same for what Redis refuses for good, which only an operator can change. */
const REFUSED_MAX_MS = 10_000;

/** Makes an `UntilDone` that logs what Redis refuses for good. */
export function untilDoneWith(logger: Logger): UntilDone {
  const refusals = new Refusals(logger);

  async function again<T>(work: () => Promise<T>, first: unknown): Promise<T> {
    let error = first;
    for (let attempt = 0; ; attempt++) {
      if (!(error instanceof Unavailable) && !isRedisReply(error)) throw error;
      const mostMs = refusals.note(error) ? REFUSED_MAX_MS : RETRY_MAX_MS;
      const delayMs = Math.min(RETRY_MIN_MS * 2 ** attempt, mostMs);
      await new Promise((resolve) => setTimeout(resolve, delayMs * (0.5 + Math.random() / 2)));
      try {
        return await work();
      } catch (next) {
        error = next;
      }
    }
  }

  return (work, ended) =>
    work().then(
      (result) => {
        ended?.();
        return result;
      },
      (error: unknown) => again(work, error).finally(ended),
    );
}
