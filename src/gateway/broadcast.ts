import type { Frame } from '../protocol/answers.js';

/** Who may be concerned by what is published. */
export interface Listener {
  /** Takes frames that were published, in their order, if it is concerned. */
  hear(frames: readonly Frame[]): void;
}

/** Listeners that are told in one go. */
const PORTION = 1024;

/**
 * Sends what is published for all sessions. The topics of uWebSockets do so, too, but take a quarter of a kilobyte for each
 * subscriber, and hold up everything else until the last one is told.
 *
 * What is published in one turn of the event loop, or while others are still told of what came before, is told together.
 */
export class Broadcast {
  private published: Frame[] = [];
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
    const frames = this.published;
    this.published = [];
    this.tell(frames, this.listeners());
  }

  private tell(frames: readonly Frame[], listeners: Iterator<Listener>): void {
    for (let i = 0; i < PORTION; i += 1) {
      const next = listeners.next();
      if (next.done) {
        this.isUnderWay = this.published.length > 0;
        if (this.isUnderWay) setImmediate(() => this.begin());
        return;
      }
      next.value.hear(frames);
    }
    setImmediate(() => this.tell(frames, listeners));
  }
}
