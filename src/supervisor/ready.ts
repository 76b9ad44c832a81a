import { setTimeout as delay } from 'node:timers/promises';
import type { Running } from './child.js';

const POLL_MS = 50;
const ANSWER_TIMEOUT_MS = 1000;

/**
 * Waits until a process that has just been started answers with 200.
 * @param url of its probe
 * @param signal when it is given up
 * @throws Error with one clear sentence when it ends before; it has been stopped when it is given up
 */
export async function untilReady(
  name: string,
  process: Running,
  url: string,
  signal: AbortSignal,
): Promise<void> {
  let end: string | undefined;
  void process.exited.then((exit) => {
    end = exit.signal ?? `exit code ${exit.code}`;
  });
  while ((await bodyOf(url)) === null) {
    if (signal.aborted) {
      await process.stop();
      throw new Error(`${name} was given up before it was ready`);
    }
    if (end) throw new Error(`${name} could not be started (${end})`);
    await delay(POLL_MS);
  }
}

/** What is at a URL; null if that can't be had, or isn't answered with 200. */
export async function bodyOf(url: string): Promise<string | null> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
    const body = await response.text();
    return response.status === 200 ? body : null;
  } catch {
    return null; // not there yet, or not any more
  }
}
