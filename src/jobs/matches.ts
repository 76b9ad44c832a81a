import { DelayedError, type Job, Queue, UnrecoverableError } from 'bullmq';
import type { Logger } from 'pino';
import { Failures } from '../cluster/failures.js';
import { NoRoom } from '../game/launcher.js';
import type { Host } from '../matchmaking/host.js';
import type { Matchmaker } from '../matchmaking/matchmaker.js';
import type { FormingPause } from '../matchmaking/pause.js';
import type { RedisClient, RedisTarget } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { countJobs, type JobCount } from './queue.js';
import { connectForJobs, SteadyWorker } from './steadyWorker.js';

/** Name of the queue, after the prefix of all keys of jobs. */
const QUEUE = 'matches';

const FORM = 'form';
const LAUNCH = 'launch';

type JobData = { readonly match?: string };

const SOON_MS = 50;

/** Orders work on matches, from any process. */
export class MatchJobs {
  private readonly queue: Queue<JobData>;
  private timer: NodeJS.Timeout | undefined;

  /** @param launchAttempts times that the launch of a game server is tried */
  constructor(
    redis: RedisClient,
    keys: Keys,
    private readonly logger: Logger,
    private readonly launchAttempts: number,
  ) {
    this.queue = new Queue(QUEUE, { connection: redis.raw, prefix: keys.jobs(), skipVersionCheck: true });
    this.queue.on('error', () => {}); // whoever orders is told, and the connection's errors are logged with it
  }

  /** Somebody waits for a match; forms them soon. What can't be ordered now is found by the next worker that looks. */
  formSoon(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.form().catch((error: unknown) => {
        this.logger.debug({ err: error }, 'the forming of matches could not be ordered');
      });
    }, SOON_MS);
  }

  /** Forms matches: one job waits at most, and one works, and what is ordered meanwhile is not lost. */
  async form(): Promise<void> {
    await this.queue.add(
      FORM,
      {},
      {
        deduplication: { id: FORM, keepLastIfActive: true },
        attempts: 5,
        backoff: { type: 'exponential', delay: 500 },
        removeOnComplete: true,
        removeOnFail: true,
      },
    );
  }

  /** Starts the game server of a match, if that isn't ordered yet. */
  async launch(match: string): Promise<void> {
    await this.queue.add(
      LAUNCH,
      { match },
      {
        jobId: match,
        attempts: this.launchAttempts,
        backoff: { type: 'exponential', delay: 500 },
        removeOnComplete: true,
        removeOnFail: true,
      },
    );
  }

  /** @throws when Redis is away */
  counts(): Promise<JobCount[]> {
    return countJobs(this.queue);
  }

  async close(): Promise<void> {
    clearTimeout(this.timer);
    await this.queue.close();
  }
}

export interface MatchWorkerOptions {
  readonly target: RedisTarget;
  readonly keys: Keys;
  readonly logger: Logger;
  readonly jobs: MatchJobs;
  readonly matchmaker: Matchmaker;
  readonly host: Host;
  readonly pause: FormingPause;
}

/** Game servers that a worker starts at the same time. */
const AT_ONCE = 32;

/** A job whose worker has not been heard of for this long is another's. */
const LOCK_MS = 10_000;
const STALLED_MS = 5000;

const SWEEP_MS = 2000;

/** When a launch is tried again that found no room, in ms. */
const NO_ROOM_MS = 1000;

/** Takes part in the work on matches. Redis may go away and come back. */
export function startMatchWorker(options: MatchWorkerOptions): { close(): Promise<void> } {
  const { target, keys, logger, jobs, matchmaker, host, pause } = options;
  const failures = new Failures(logger, 'sweep of matches has failed');
  const underWay = new Set<string>();
  let isFull = false;
  const worker = new SteadyWorker<JobData>(
    QUEUE,
    connectForJobs(target, 'matches', logger),
    keys,
    logger,
    async (job) => {
      const { match } = job.data;
      if (job.name === FORM) {
        if (!(await pause.isOn())) await matchmaker.formAll((formed) => jobs.launch(formed)); // or when it is over
      } else if (job.name === LAUNCH && match !== undefined) {
        await launch(match, job);
      } else {
        throw new UnrecoverableError(`This release knows no job ${job.name}`);
      }
    },
    { concurrency: AT_ONCE, lockDuration: LOCK_MS, stalledInterval: STALLED_MS, maxStalledCount: 10 },
  );

  async function launch(match: string, job: Job<JobData>): Promise<void> {
    try {
      await host.launch(match);
      isFull = false;
    } catch (error) {
      if (error instanceof NoRoom) {
        // no attempt: whichever worker has room first starts it
        if (!isFull) logger.warn({ match }, 'all ports for game servers are taken');
        isFull = true;
        await job.moveToDelayed(Date.now() + NO_ROOM_MS, job.token);
        throw new DelayedError();
      }
      logger.warn({ err: error, match }, 'game server could not be started');
      if (job.attemptsMade + 1 >= (job.opts.attempts ?? 1)) await host.giveUp(match);
      throw error;
    }
  }

  /** Does a duty in the background, unless it is still being done: what hangs in one partition holds up nothing else. */
  function attend(duty: string, work: () => Promise<void>): void {
    if (underWay.has(duty)) return;
    underWay.add(duty);
    work()
      .catch((error: unknown) => failures.note(error, { duty }))
      .finally(() => underWay.delete(duty));
  }

  function sweep(): void {
    attend('game servers', () => host.sweepScope());
    for (let partition = 0; partition < keys.partitions; partition++) {
      attend(`plans ${partition}`, () => matchmaker.sweep(partition));
      attend(`matches ${partition}`, () => host.sweep(partition, (match) => jobs.launch(match)));
      attend(`lost matches ${partition}`, () => host.endUnwatched(partition));
    }
    attend('queue', async () => {
      if ((await matchmaker.isWorthIt()) && !(await pause.isOn())) await jobs.form();
    });
    timer = setTimeout(sweep, SWEEP_MS * (0.5 + Math.random()));
  }

  let timer: NodeJS.Timeout;
  sweep();

  return {
    async close() {
      clearTimeout(timer);
      await worker.close();
    },
  };
}
