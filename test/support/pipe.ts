import type { Socket } from 'node:net';

/** What a pipe asks each time it is about to forward something. */
export interface PipeSettings {
  /** How long a chunk is kept before it goes on, in ms. */
  delayMs: number;
  /** Whether everything is kept until release() is called. */
  held: boolean;
}

/** Forwards one direction of a connection, chunk by chunk and in order, the end of the stream too. */
export class Pipe {
  /** What waits to be forwarded; `null` stands for the end of the stream. */
  private readonly queue: { chunk: Buffer | null; dueAt: number }[] = [];
  private blocked = false;
  private hasEnd = false;
  private timer: NodeJS.Timeout | undefined;

  /** @param inspect sees each chunk when its turn comes; what it answers false to is not forwarded */
  constructor(
    private readonly from: Socket,
    private readonly to: Socket,
    private readonly settings: Readonly<PipeSettings>,
    private readonly inspect: (chunk: Buffer) => boolean,
  ) {
    from.on('data', (chunk: Buffer) => this.take(chunk));
    from.once('end', () => this.take(null));
    to.once('close', () => clearTimeout(this.timer));
    to.on('drain', () => {
      this.blocked = false;
      this.release();
    });
    if (settings.held) this.hold();
  }

  /** Whether the sender has ended the stream in order; its end will be forwarded after all that came before. */
  get ended(): boolean {
    return this.hasEnd;
  }

  /** Stops reading, so that the sender feels it. */
  hold(): void {
    this.from.pause();
  }

  /** Goes on after a hold, or after the receiver has caught up. */
  release(): void {
    this.pump();
    if (!this.blocked && !this.settings.held) this.from.resume();
  }

  private take(chunk: Buffer | null): void {
    if (chunk === null) this.hasEnd = true;
    this.queue.push({ chunk, dueAt: performance.now() + this.settings.delayMs });
    this.pump();
  }

  private pump(): void {
    clearTimeout(this.timer);
    while (!this.blocked && !this.settings.held && this.queue.length > 0 && !this.to.destroyed) {
      const waitMs = this.queue[0]!.dueAt - performance.now();
      if (waitMs > 0) {
        this.timer = setTimeout(() => this.pump(), Math.ceil(waitMs));
        return;
      }
      const { chunk } = this.queue.shift()!;
      if (chunk === null) this.to.end();
      else if (this.inspect(chunk) && !this.to.write(chunk)) {
        this.blocked = true;
        this.from.pause();
      }
    }
  }
}
