import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { isPassing, type RedisClient } from './client.js';
import { parseInfo } from './info.js';

/** How often it is looked for a Redis that has been started again, and whether it is done, in ms. */
const EVERY_MS = 1000;

/** How long after a failure it is tried again, in ms. */
const RETRY_MS = 30_000;

/**
 * Lets Redis write its append-only file anew after each of its starts.
 *
 * A power failure can tear the end of that file. Redis cuts it at the last whole command, even inside a transaction, and
 * appends to that: at its next start the first half of a transaction that was taken for lost would come back to life. A
 * file that is written anew has no such end.
 */
export class FreshFile {
  /** Servers whose file is in order, by the id of their run. */
  private readonly done = new Set<string>();
  /** When those that failed are to be asked again. */
  private readonly retryAt = new Map<string, number>();
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly redis: RedisClient,
    private readonly logger: Logger,
    private readonly retryMs = RETRY_MS,
  ) {}

  start(): void {
    this.timer = setTimeout(() => void this.look().then(() => this.timer && this.start()), EVERY_MS);
  }

  close(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private async look(): Promise<void> {
    await Promise.all(
      this.redis.servers.map((server) =>
        this.see(server).catch((error: Error) => {
          this.logger.debug({ err: error }, 'Redis could not be asked for its append-only file');
        }),
      ),
    );
  }

  private async see(server: Redis): Promise<void> {
    const info = parseInfo(await server.info());
    const run = info.get('run_id');
    if (run === undefined || this.done.has(run)) return;
    if (info.get('loading') === '1') return; // until it is done with that, it says that it keeps no such file
    if (info.get('aof_enabled') !== '1') {
      this.done.add(run);
      return;
    }
    if (info.get('aof_rewrite_in_progress') === '1' || info.get('aof_rewrite_scheduled') === '1') return;
    const wasWritten = Number(info.get('aof_last_rewrite_time_sec')) >= 0; // in this run
    const hasFailed = info.get('aof_last_bgrewrite_status') !== 'ok';
    if (wasWritten && !hasFailed) {
      this.done.add(run);
      return;
    }
    if (hasFailed && this.rests(run)) return;
    await this.order(server, run);
  }

  /** Whether a server that has failed is not to be asked again yet. */
  private rests(run: string): boolean {
    const now = performance.now();
    const retryAt = this.retryAt.get(run);
    if (retryAt === undefined) {
      this.logger.warn('Redis could not write its append-only file anew; it will be told to again');
      this.retryAt.set(run, now + this.retryMs);
      return true;
    }
    if (now < retryAt) return true;
    this.retryAt.delete(run);
    return false;
  }

  private async order(server: Redis, run: string): Promise<void> {
    try {
      await server.bgrewriteaof();
    } catch (error) {
      if (isPassing(error as Error) || /in progress/.test((error as Error).message)) throw error;
      this.logger.warn({ err: error }, 'Redis may not be told to write its append-only file anew');
      this.done.add(run);
    }
  }
}
