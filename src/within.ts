/**
 * The value of a promise, or undefined if it takes longer than `timeoutMs`.
 * @param use makes of that what is returned
 */
export function within<T>(timeoutMs: number, promise: Promise<T>): Promise<T | undefined>;
export function within<T, R>(
  timeoutMs: number,
  promise: Promise<T>,
  use: (value: T | undefined) => R | Promise<R>,
): Promise<R>;
export function within(
  timeoutMs: number,
  promise: Promise<unknown>,
  use: (value: unknown) => unknown = (value) => value,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let isOver = false;
    const end = (value?: unknown) => {
      if (isOver) return;
      isOver = true;
      try {
        resolve(use(value));
      } catch (error) {
        reject(error);
      }
    };
    const timer = setTimeout(end, timeoutMs);
    promise.then(
      (value) => {
        clearTimeout(timer);
        end(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}
