import type { Frame } from '../protocol/answers.js';

/** Who may be concerned by what is published. */
export interface Listener {
  /**
   * Takes frames that were published, in their order, if it is concerned.
   * @param since when they began to be told, by `performance.now()`: who has a session only since then may have heard them before,
   *   on another connection
   */
  hear(frames: readonly Frame[], since: number): void;
}

/** Frames that are sent in one go. */
const PORTION = 1024;
/** Frames that are told together at most: they go to each listener in one piece, which must not be too much for it. */
const TOGETHER = 64;

/**
 * Sends what is published for all sessions. The topics of uWebSockets do so, too, but take a quarter of a kilobyte for each
 * subscriber, and hold up everything else until the last one is told.
 *
 * What is published in one turn of the event loop, or while others are still told of what came before, is told together.
 */
export class Broadcast {
  private readonly published: Frame[] = [];
  private isUnderWay = false;

  /** @param listeners those who are there now; may change while they are told */
  constructor(private readonly listeners: () => Iterator<Listener>) {}

  publish(frame: Frame): void {
    // a text would be encoded anew for each
    this.published.push(typeof frame === 'string' ? Uint8Array.from(Buffer.from(frame)).buffer : frame);
    if (this.isUnderWay) return;
    this.isUnderWay = true;
    setImmediate(() => this.begin());
  }

  private begin(): void {
    const frames = this.published.splice(0, TOGETHER);
    this.tell(frames, this.listeners(), performance.now());
  }

  private tell(frames: readonly Frame[], listeners: Iterator<Listener>, since: number): void {
    for (let sent = 0; sent < PORTION; sent += frames.length) {
      const next = listeners.next();
      if (next.done) {
        this.isUnderWay = this.published.length > 0;
        if (this.isUnderWay) setImmediate(() => this.begin());
        return;
      }
      next.value.hear(frames, since);
    }
    setImmediate(() => this.tell(frames, listeners, since));
  }
}
