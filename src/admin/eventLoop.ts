/** How often it is looked, in ms. */
const EVERY_MS = 5;

/**
 * Tells how late the event loop comes to what is due every few milliseconds, and so to a message that comes in then. What
 * was due while the loop stood still is told of, too, each with its own delay, so that a long stop weighs as much as it
 * lasts. Exact to a millisecond, which is what timers are. Keeps no process up.
 * @param observe gets each delay, in seconds
 */
export function watchEventLoop(observe: (delaySeconds: number) => void): void {
  let dueMs = performance.now();
  const look = () => {
    const nowMs = performance.now();
    for (; dueMs <= nowMs; dueMs += EVERY_MS) observe((nowMs - dueMs) / 1000);
    setTimeout(look, Math.ceil(dueMs - nowMs)).unref();
  };
  look();
}
