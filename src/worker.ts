import type { Logger } from 'pino';
import { Publisher } from './bus/publisher.js';
import { Reaper } from './cluster/reaper.js';
import type { Config } from './config/config.js';
import type { Deployment } from './deployment.js';
import { startJobs } from './jobs/queue.js';
import { within } from './within.js';

/** How long a worker that ends may take to finish what it is doing, in ms. */
const CLOSING_MS = 5000;

/** A worker: sees to what no connection sees to. */
export interface Worker {
  /** Why it can't work now; null if it can. */
  unreadiness(): string | null;
  /** Finishes what is being done, unless that takes too long; then it is left to another worker. */
  close(): Promise<void>;
}

/** Starts the reaper and the jobs. @throws Error with one clear sentence */
export async function startWorker(config: Config, deployment: Deployment, logger: Logger): Promise<Worker> {
  const { keys, redis, target, committer, sessions, claims, names } = deployment;
  const publisher = new Publisher(redis, keys, logger);
  const reaper = new Reaper({
    redis,
    keys,
    node: config.nodeId,
    log: committer,
    sessions,
    claims,
    names,
    leaseMs: config.LEASE_SECONDS * 1000,
    resumeMs: (config.RESUME_SECONDS || config.TOKEN_TTL_SECONDS) * 1000,
    logger,
    tell: (node) => publisher.reaped(node),
  });
  const jobs = await startJobs({ target, keys, logger, retentionHours: config.RETENTION_HOURS });
  reaper.start();
  return {
    unreadiness: () => (redis.isReady ? null : 'Redis cannot be reached'),
    async close() {
      await within(CLOSING_MS, Promise.all([reaper.close(), jobs.close()]));
      await committer.close(0);
    },
  };
}
