export interface EventuallyOptions {
  /** How long to try, in ms. */
  readonly timeoutMs?: number;
  /** Pause between two attempts, in ms. */
  readonly intervalMs?: number;
  /** What is waited for, to begin the error with. */
  readonly message?: string;
}

/**
 * Waits for a condition: calls `fn` until it neither throws nor gives (or resolves with) `false`, `null`, 0 or ''.
 * `undefined` is what a block of assertions gives, so it counts as success; a search that may find nothing must
 * therefore end in `?? false`, and the compiler says so.
 * @returns what `fn` gave
 * @throws after `timeoutMs` (10,000) the last error of `fn`, its text preceded by `message`
 */
export async function eventually<T>(
  fn: (() => T | Promise<T>) & UndefinedOnlyAsVoid<T>,
  options: EventuallyOptions = {},
): Promise<Truthy<T>> {
  const { timeoutMs = 10_000, intervalMs = 20, message = 'condition' } = options;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const outcome = await attempt(fn, deadline);
    if ('value' in outcome) return outcome.value as Truthy<T>;
    if (performance.now() + intervalMs > deadline) {
      const { error } = outcome;
      error.message = `${message} (not within ${timeoutMs} ms): ${error.message}`;
      throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
}

type Truthy<T> = T extends false | null | 0 | '' ? never : T;
type UndefinedOnlyAsVoid<T> = undefined extends T
  ? // biome-ignore lint/suspicious/noConfusingVoidType: what a function without a result gives is the very question
    [T] extends [void]
    ? unknown
    : unknown extends T
      ? unknown
      : 'undefined would count as success: end the search in `?? false`'
  : unknown;

/** Calls `fn` once; a call that is still unsettled at the deadline has failed. */
async function attempt<T>(
  fn: () => T | Promise<T>,
  deadline: number,
): Promise<{ value: T } | { error: Error }> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    const left = Math.max(deadline - performance.now(), 1);
    timer = setTimeout(() => reject(new Error('the last attempt is still running')), left);
  });
  try {
    const value = await Promise.race([fn(), tooLate]);
    if (value || value === undefined) return { value };
    return { error: new Error(`the last attempt gave ${JSON.stringify(value)}`) };
  } catch (error) {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  } finally {
    clearTimeout(timer);
  }
}
