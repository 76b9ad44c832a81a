import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { isPassing, type RedisClient } from './client.js';

/** How often it is looked for a Redis that has been started again, in ms. */
const EVERY_MS = 1000;

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
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly redis: RedisClient,
    private readonly logger: Logger,
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
    const run = /^run_id:(\w+)/m.exec(await server.info('server'))?.[1];
    if (run === undefined || this.done.has(run)) return;
    const isWritten = /^aof_enabled:1/m.test(await server.info('persistence'));
    try {
      if (isWritten) await server.bgrewriteaof();
    } catch (error) {
      if (isPassing(error as Error) || /in progress/.test((error as Error).message)) throw error;
      this.logger.warn({ err: error }, 'Redis may not be told to write its append-only file anew');
    }
    this.done.add(run);
  }
}
