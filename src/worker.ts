import { hostname } from 'node:os';
import type { Logger } from 'pino';
import { Publisher } from './bus/publisher.js';
import { Reaper } from './cluster/reaper.js';
import type { Config } from './config/config.js';
import type { Deployment } from './deployment.js';
import { CommandRunner } from './game/command.js';
import { ContainerRunner } from './game/container.js';
import type { Launcher } from './game/launcher.js';
import { LocalLauncher } from './game/local.js';
import { Ports } from './game/ports.js';
import { MatchJobs, startMatchWorker } from './jobs/matches.js';
import { startJobs } from './jobs/queue.js';
import { Host } from './matchmaking/host.js';
import { Matchmaker } from './matchmaking/matchmaker.js';
import { FormingPause } from './matchmaking/pause.js';
import { type Overview, overviewOf } from './operator/overview.js';
import type { RedisClient } from './redis/client.js';
import { FreshFile } from './redis/freshFile.js';
import type { Keys } from './redis/keys.js';
import { reading, Unavailable } from './redis/unavailable.js';
import { within } from './within.js';

/** How long a worker that ends may take to finish what it is doing, in ms. */
const CLOSING_MS = 5000;

/** What `close` takes at most, in ms. */
export const LONGEST_CLOSING_MS = 3 * CLOSING_MS;

/** How long an overview may take, in ms: who asks for it, waits. */
const OVERVIEW_MS = 2000;

/** A worker: sees to what no connection sees to. */
export interface Worker {
  /** Why it can't work now; null if it can. */
  unreadiness(): string | null;
  /**
   * What there is in the whole deployment, if it is this worker that sees to it; otherwise null.
   * @throws Unavailable
   */
  overview(): Promise<Overview | null>;
  /** Finishes what is being done, unless that takes too long; then it is left to another worker. */
  close(): Promise<void>;
}

/**
 * Starts the reaper and the jobs.
 * @param stopsGames whether game servers end with this worker
 * @throws Error with one clear sentence
 */
export async function startWorker(
  config: Config,
  deployment: Deployment,
  logger: Logger,
  stopsGames: boolean,
): Promise<Worker> {
  const { keys, redis, target, committer, sessions, accounts, claims, names, matches, untilDone } =
    deployment;
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
  const pause = new FormingPause(redis, keys);
  const host = new Host({
    redis,
    keys,
    matches,
    sessions,
    untilDone,
    publisher,
    launcher: launcherOf(config, redis, keys),
    pause,
    worker: config.nodeId,
    logger,
  });
  const matchJobs = new MatchJobs(
    deployment.connect('jobs', { pipelining: false }),
    keys,
    logger,
    config.LAUNCH_ATTEMPTS,
  );
  const matchmaker = new Matchmaker({
    redis,
    keys,
    sessions,
    accounts,
    matches,
    size: config.MATCH_SIZE,
    // one that was killed is heard of no more at once, one whose machine is gone when its lease runs out
    isThere: async (node) =>
      (await publisher.isHeardBy(node)) && (await reading(redis.raw.exists(keys.lease(node)))) === 1,
  });
  const matchWorker = startMatchWorker({ target, keys, logger, jobs: matchJobs, matchmaker, host, pause });
  const freshFile = new FreshFile(redis, logger);
  reaper.start();
  freshFile.start();
  return {
    async overview() {
      if (!reaper.isAtWork) return null;
      const all = Promise.all([overviewOf(deployment), jobs.counts(), matchJobs.counts()]);
      const found = await within(OVERVIEW_MS, all);
      if (!found) throw new Unavailable();
      const [rest, ...counts] = found;
      return { ...rest, jobs: counts.flat() };
    },
    unreadiness() {
      if (!redis.isReady) return 'Redis cannot be reached';
      return committer.oldestBatchMs > config.COMMIT_TIMEOUT_MS ? 'the event log cannot be written' : null;
    },
    async close() {
      freshFile.close();
      await within(CLOSING_MS, Promise.all([reaper.close(), jobs.close(), matchWorker.close()]));
      await within(CLOSING_MS, Promise.all([host.close(stopsGames), matchJobs.close()]));
      await committer.flush(CLOSING_MS);
    },
  };
}

function launcherOf(config: Config, redis: RedisClient, keys: Keys): Launcher {
  const { GAME_LAUNCHER, GAME_COMMAND, GAME_IMAGE, CONTAINER_ENGINE, programEnvironment } = config;
  const runner =
    GAME_LAUNCHER === 'container'
      ? new ContainerRunner({ engine: CONTAINER_ENGINE, image: GAME_IMAGE! })
      : new CommandRunner(GAME_COMMAND, programEnvironment);
  const ports = new Ports(redis, keys, hostname(), config.gamePorts);
  return new LocalLauncher(hostname(), config.gameHost, ports, runner);
}
