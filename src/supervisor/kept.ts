import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Exit, Running } from './child.js';

/** Starts a process and waits until it is ready. @throws Error if it doesn't become so, or `signal` gives it up */
export type Launch = (signal: AbortSignal) => Promise<Running>;

/** The first pause before a process is started again; each one after it is twice as long, in ms. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 10_000;

/** A process that has run for so long has got over what ended it before, in ms. */
const STEADY_MS = 10_000;

/** A process that is started again when it ends, later and later if it ends again and again. */
export class Kept {
  private running: Running | undefined;
  /** While it is being started, or replaced. */
  private changing: Promise<void> | undefined;
  private startedAt = 0;
  private failures = 0;
  private readonly ending = new AbortController();

  constructor(
    readonly name: string,
    private readonly launch: Launch,
    private readonly logger: Logger,
  ) {}

  /** Starts it for the first time, and waits until it is ready. @throws Error with one clear sentence */
  async start(): Promise<void> {
    await this.change(() => this.begin());
  }

  /** Ends it in order and starts it again; resolves when it is ready, or not wanted any more. */
  replace(): Promise<void> {
    return (
      this.changing ??
      this.change(async () => {
        const old = this.running;
        this.running = undefined;
        await old?.stop();
        await this.beginAgain();
      })
    );
  }

  /** Ends it for good. @returns how it ended; null if it wasn't running */
  async stop(): Promise<Exit | null> {
    this.ending.abort();
    await this.changing?.catch(() => {}); // who started it is told
    return (await this.running?.stop()) ?? null;
  }

  private async begin(): Promise<void> {
    const running = await this.launch(this.ending.signal);
    this.running = running;
    this.startedAt = performance.now();
    this.logger.info({ process: this.name, pid: running.pid }, 'started');
    void running.exited.then((exit) => this.hasEnded(running, exit));
  }

  private hasEnded(process: Running, { code, signal }: Exit): void {
    if (process !== this.running || this.ending.signal.aborted) return; // it was told to
    this.running = undefined;
    if (performance.now() - this.startedAt > STEADY_MS) this.failures = 0;
    this.logger.warn({ process: this.name, code, signal }, 'has ended, and is started again');
    this.failures += 1;
    void this.change(() => this.beginAgain());
  }

  private change(work: () => Promise<void>): Promise<void> {
    const changing = work().finally(() => {
      if (this.changing === changing) this.changing = undefined; // it may have ended at once, and be started again
    });
    this.changing = changing;
    return changing;
  }

  private async beginAgain(): Promise<void> {
    const { signal } = this.ending;
    while (!signal.aborted) {
      if (this.failures > 0) {
        const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.failures - 1));
        await delay(pauseMs, undefined, { signal }).catch(() => {}); // not wanted any more
      }
      if (signal.aborted) return;
      try {
        return await this.begin();
      } catch (error) {
        this.failures += 1;
        if (!signal.aborted) this.logger.warn({ process: this.name, err: error }, 'could not be started');
      }
    }
  }
}
