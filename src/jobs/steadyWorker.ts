import { type Job, Worker, type WorkerOptions } from 'bullmq';
import type { Logger } from 'pino';
import { connectRedis, type RedisClient, type RedisTarget } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { within } from '../within.js';

/** Longer than BullMQ's blocking command waits, which is 10 s. */
const SILENCE_MS = 20_000;

const REST_MS = 5000;
const CLOSING_MS = 2000;

/** A connection as BullMQ wants it: commands wait for Redis. */
export function connectForJobs(target: RedisTarget, name: string, logger: Logger): RedisClient {
  return connectRedis(target, {
    name: `openchamp:${name}`,
    logger,
    silenceTimeoutMs: SILENCE_MS,
    patient: true,
  });
}

/** A BullMQ worker that bears it when Redis is away, or refuses, and that can be closed then, too. */
export class SteadyWorker<Data> {
  private readonly worker: Worker<Data>;
  private readonly reported = new Set<string>();
  private restTimer: NodeJS.Timeout | undefined;
  private closed = false;

  /** @param redis a patient connection, of which BullMQ makes itself one more; both are closed with the worker */
  constructor(
    queue: string,
    private readonly redis: RedisClient,
    keys: Keys,
    private readonly logger: Logger,
    run: (job: Job<Data>, signal: AbortSignal) => Promise<void>,
    options: Partial<WorkerOptions> = {},
  ) {
    this.worker = new Worker<Data>(queue, (job, _token, signal) => run(job, signal!), {
      ...options,
      connection: redis.raw,
      prefix: keys.jobs(),
      skipVersionCheck: true,
    });
    this.worker.on('error', (error) => {
      this.report(error);
      this.rest();
    });
    this.worker.on('failed', (_job, error) => this.report(error));
    this.worker.on('completed', () => this.reported.clear());
  }

  /** Logs a problem, once until things go well again. That Redis is away is logged with the connection. */
  report(error: Error): void {
    if (!this.redis.isReady || this.reported.has(error.message)) return;
    this.reported.add(error.message);
    this.logger.warn({ err: error }, 'jobs are hindered');
  }

  /** Ends what is being done and closes the connections. Takes a few seconds at most, also while Redis is away. */
  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.restTimer);
    this.worker.cancelAllJobs();
    await within(CLOSING_MS, this.worker.close(!this.redis.isReady));
    // a worker that is told to close waits for Redis as long as it takes, but its connections can be cut
    await within(CLOSING_MS, this.worker.getBackend().close(true));
    this.redis.close();
  }

  /** What Redis refuses, because it is full perhaps, BullMQ asks for again at once, thousands of times a second. */
  private rest(): void {
    if (this.closed || !this.redis.isReady || this.worker.isPaused()) return;
    void this.worker.pause(true);
    this.restTimer = setTimeout(() => this.worker.resume(), REST_MS);
  }
}
