import { Queue, Worker } from 'bullmq';
import type { Logger } from 'pino';
import { connectRedis, type RedisClient, type RedisTarget } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { within } from '../within.js';
import { retention } from './retention.js';

/** Something that one of the workers does now and then. */
export interface Job {
  readonly name: string;
  /** 0: never. */
  readonly everyMs: number;
  /**
   * Does it. Must be harmless when it comes too often, too late, or twice at once: clocks may be off, and what a lost
   * worker was doing is done again. Ends early when the signal says so; the rest is left to the next time.
   */
  run(signal: AbortSignal): Promise<void>;
}

export interface JobsOptions {
  readonly target: RedisTarget;
  readonly keys: Keys;
  readonly logger: Logger;
  /** Hours that events are kept in the log; 0: for ever. */
  readonly retentionHours: number;
}

/** Starts to take part in the jobs of a deployment. Redis may be away then, and at any time later. */
export async function startJobs({ target, keys, logger, retentionHours }: JobsOptions): Promise<Jobs> {
  const redis = connectRedis(target, {
    name: 'openchamp:jobs',
    logger,
    silenceTimeoutMs: SILENCE_MS,
    patient: true, // as BullMQ wants it
  });
  return new Jobs(redis, keys, logger, [retention({ redis, keys, logger, retentionHours })]);
}

/** Longer than BullMQ's blocking command waits, which is 10 s. */
const SILENCE_MS = 20_000;

/** Name of the queue, after the prefix of all keys of jobs. */
const QUEUE = 'upkeep';

const JOB_OPTIONS = {
  attempts: 5,
  backoff: { type: 'exponential', delay: 1000 },
  removeOnComplete: { count: 10 },
  removeOnFail: { count: 100 },
};

/** How often the schedules are looked after, and how soon again when that failed. */
const SCHEDULE_MS = 5 * 60_000;
const SCHEDULE_RETRY_MS = 5000;

const REST_MS = 5000;
const CLOSING_MS = 2000;

/** The jobs on BullMQ, which sees to it that one worker does each, and another when that one is lost. */
export class Jobs {
  private readonly queue: Queue;
  private readonly worker: Worker;
  private readonly reported = new Set<string>();
  private scheduleTimer: NodeJS.Timeout | undefined;
  private restTimer: NodeJS.Timeout | undefined;
  private closed = false;

  /** @param redis a patient connection, of which BullMQ makes itself one more; both are closed with the jobs */
  constructor(
    private readonly redis: RedisClient,
    private readonly keys: Keys,
    private readonly logger: Logger,
    private readonly jobs: readonly Job[],
  ) {
    const shared = { connection: redis.raw, prefix: keys.jobs(), skipVersionCheck: true };
    this.queue = new Queue(QUEUE, { ...shared, defaultJobOptions: JOB_OPTIONS });
    this.queue.on('error', (error) => this.report(error));
    this.worker = new Worker(QUEUE, ({ name }, _token, signal) => this.run(name, signal!), shared);
    this.worker.on('error', (error) => {
      this.report(error);
      this.rest();
    });
    this.worker.on('failed', (_job, error) => this.report(error));
    this.worker.on('completed', () => this.reported.clear());
    void this.keepSchedules();
  }

  /** Ends what is being done and closes the connections. Takes a few seconds at most, also while Redis is away. */
  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.scheduleTimer);
    clearTimeout(this.restTimer);
    this.worker.cancelAllJobs();
    await within(CLOSING_MS, Promise.all([this.queue.close(), this.worker.close(!this.redis.isReady)]));
    // a worker that is told to close waits for Redis as long as it takes, but its connections can be cut
    await within(CLOSING_MS, this.worker.getBackend().close(true));
    this.redis.close();
  }

  private async run(name: string, signal: AbortSignal): Promise<void> {
    const job = this.jobs.find((one) => one.name === name);
    if (!job) throw new Error(`This release knows no job ${name}`);
    await job.run(signal);
  }

  /** Sets the schedules up, and looks after them: a Redis that has lost its data has lost them, too. */
  private async keepSchedules(): Promise<void> {
    let delayMs = SCHEDULE_MS;
    try {
      await this.schedule();
    } catch (error) {
      this.report(error as Error);
      delayMs = SCHEDULE_RETRY_MS;
    }
    if (!this.closed) this.scheduleTimer = setTimeout(() => this.keepSchedules(), delayMs);
  }

  private async schedule(): Promise<void> {
    await this.queue.waitUntilReady();
    const now = await this.redis.time(this.keys.jobs());
    for (const { name, everyMs } of this.jobs) {
      // BullMQ goes by the clock of the worker: one that was ahead may have put the next time off by as much
      const { next = 0 } = (await this.queue.getJobScheduler(name)) ?? {};
      if (everyMs === 0 || next > now + 2 * everyMs) await this.queue.removeJobScheduler(name);
      if (everyMs > 0) await this.queue.upsertJobScheduler(name, { every: everyMs }, { name });
    }
  }

  /** Logs a problem, once until things go well again. That Redis is away is logged with the connection. */
  private report(error: Error): void {
    if (!this.redis.isReady || this.reported.has(error.message)) return;
    this.reported.add(error.message);
    this.logger.warn({ err: error }, 'jobs are hindered');
  }

  /** What Redis refuses, because it is full perhaps, BullMQ asks for again at once, thousands of times a second. */
  private rest(): void {
    if (this.closed || !this.redis.isReady || this.worker.isPaused()) return;
    void this.worker.pause(true);
    this.restTimer = setTimeout(() => this.worker.resume(), REST_MS);
  }
}
