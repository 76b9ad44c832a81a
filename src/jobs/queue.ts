import { Queue } from 'bullmq';
import type { Logger } from 'pino';
import type { RedisClient, RedisTarget } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { within } from '../within.js';
import { retention } from './retention.js';
import { connectForJobs, SteadyWorker } from './steadyWorker.js';

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

/** Jobs of a queue in one of BullMQ's states, such as `waiting`, `active`, `delayed`, `failed`. */
export interface JobCount {
  readonly queue: string;
  readonly state: string;
  readonly count: number;
}

/** Counts the jobs of a queue, by state. @throws when Redis is away */
export async function countJobs(queue: Queue): Promise<JobCount[]> {
  const counts = await queue.getJobCounts('waiting', 'active', 'delayed', 'failed');
  return Object.entries(counts).map(([state, count]) => ({ queue: queue.name, state, count }));
}

/** Starts to take part in the jobs of a deployment. Redis may be away then, and at any time later. */
export async function startJobs({ target, keys, logger, retentionHours }: JobsOptions): Promise<Jobs> {
  const redis = connectForJobs(target, 'jobs', logger);
  return new Jobs(redis, keys, logger, [retention({ redis, keys, logger, retentionHours })]);
}

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

const CLOSING_MS = 2000;

/** The jobs on BullMQ, which sees to it that one worker does each, and another when that one is lost. */
export class Jobs {
  private readonly queue: Queue;
  private readonly worker: SteadyWorker<unknown>;
  private scheduleTimer: NodeJS.Timeout | undefined;
  private closed = false;

  /** @param redis a patient connection, of which BullMQ makes itself one more; both are closed with the jobs */
  constructor(
    private readonly redis: RedisClient,
    private readonly keys: Keys,
    logger: Logger,
    private readonly jobs: readonly Job[],
  ) {
    this.queue = new Queue(QUEUE, {
      connection: redis.raw,
      prefix: keys.jobs(),
      skipVersionCheck: true,
      defaultJobOptions: JOB_OPTIONS,
    });
    this.worker = new SteadyWorker(QUEUE, redis, keys, logger, ({ name }, signal) => this.run(name, signal));
    this.queue.on('error', (error) => this.worker.report(error));
    void this.keepSchedules();
  }

  /** @throws when Redis is away */
  counts(): Promise<JobCount[]> {
    return countJobs(this.queue);
  }

  /** Ends what is being done and closes the connections. Takes a few seconds at most, also while Redis is away. */
  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.scheduleTimer);
    await Promise.all([within(CLOSING_MS, this.queue.close()), this.worker.close()]);
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
      this.worker.report(error as Error);
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
}
