import type { Logger } from 'pino';
import { CommitterClosed } from '../log/committer.js';
import { Refusals } from '../redis/refusals.js';
import { Unavailable } from '../redis/unavailable.js';

/** How long a failure that has been logged is not logged again, in ms. */
const QUIET_MS = 60_000;
/** Failures that are remembered. */
const KNOWN = 100;

/** Part of the plan: Redis is away, or this process ends. */
const EXPECTED = [Unavailable, CommitterClosed];

/** Logs what fails of work that is done over and over: each distinct failure once a minute, and nothing of what is expected. */
export class Failures {
  private readonly quietUntil = new Map<string, number>();
  private readonly refusals: Refusals;

  /** @param text what is logged */
  constructor(
    private readonly logger: Logger,
    private readonly text: string,
  ) {
    this.refusals = new Refusals(logger);
  }

  /** @param facts what it was done with */
  note(error: unknown, facts: object = {}): void {
    if (this.refusals.note(error) || EXPECTED.some((expected) => error instanceof expected)) return;
    const problem = String(error);
    const now = performance.now();
    if (now < (this.quietUntil.get(problem) ?? 0)) return;
    if (this.quietUntil.size >= KNOWN) this.quietUntil.clear();
    this.quietUntil.set(problem, now + QUIET_MS);
    this.logger.error({ err: error, ...facts }, this.text);
  }
}
