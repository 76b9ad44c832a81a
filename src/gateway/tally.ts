import type { Result } from '../handlers/client.js';
import type { HttpAnswer, HttpRegister } from '../handlers/httpRegister.js';
import { CLOSE, type Close, SLOW_READER } from '../protocol/errors.js';

/** What messages of no known type are counted as, the two kinds of what is no message, and `POST /register`. */
const OTHER = 'other';
const NO_MESSAGES = ['invalid', 'rate_limited'];
const HTTP_REGISTER = 'http_register';

/** What the ways to be closed are counted as. */
const CLOSE_NAMES = new Map<Close | typeof SLOW_READER, string>([
  ...Object.entries(CLOSE).map(([name, why]) => [why, name.replace(/[A-Z]/g, '_$&').toLowerCase()] as const),
  [SLOW_READER, SLOW_READER],
]);

type Results = Record<Result, number>;

const noResults = (): Results => ({ ok: 0, refused: 0, unavailable: 0 });

/** How many messages were handled, by type and result, and how many connections were closed, by reason. */
export class Tally {
  private readonly results: Map<string, Results>;
  private readonly others = noResults();
  private readonly reasons = new Map([...CLOSE_NAMES.values()].map((name) => [name, 0]));

  /**
   * @param types of messages
   * @param waited is told how long one took that was not handled in one go, in ms
   */
  constructor(
    types: Iterable<string>,
    private readonly waited: (type: string, waitedMs: number) => void,
  ) {
    const names = [...NO_MESSAGES, HTTP_REGISTER, ...types];
    this.results = new Map(names.map((name) => [name, noResults()]));
    this.results.set(OTHER, this.others);
  }

  get messages(): ReadonlyMap<string, Readonly<Results>> {
    return this.results;
  }

  get closes(): ReadonlyMap<string, number> {
    return this.reasons;
  }

  readonly count = (type: string, result: Result, waitedMs: number | null): void => {
    const results = this.results.get(type);
    (results ?? this.others)[result] += 1;
    if (waitedMs !== null) this.waited(results ? type : OTHER, waitedMs);
  };

  readonly closing = (why: Close | typeof SLOW_READER): void => {
    const name = CLOSE_NAMES.get(why)!;
    this.reasons.set(name, this.reasons.get(name)! + 1);
  };

  /** Counts registrations over HTTP, too. */
  counting(register: HttpRegister): HttpRegister {
    return async (...request) => {
      const startedAt = performance.now();
      const answer = await register(...request);
      this.count(HTTP_REGISTER, resultOf(answer), performance.now() - startedAt);
      return answer;
    };
  }
}

function resultOf({ status }: HttpAnswer): Result {
  if (status.startsWith('2')) return 'ok';
  return status.startsWith('5') ? 'unavailable' : 'refused';
}
