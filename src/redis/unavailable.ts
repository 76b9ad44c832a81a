/** Redis can't be read, or a change could not be recorded in time. What was begun may still come to pass. */
export class Unavailable extends Error {
  constructor(cause?: unknown) {
    super('Redis is away', { cause });
  }
}

/** Reads from Redis. @throws Unavailable */
export async function reading<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw new Unavailable(error);
  }
}
