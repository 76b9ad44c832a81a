import type { Logger } from 'pino';
import type { Config } from './config/config.js';
import { type CommitObserver, Committer } from './log/committer.js';
import { checkRights } from './log/rights.js';
import { connectRedis, type RedisClient, type RedisTarget } from './redis/client.js';
import { RedisClock } from './redis/clock.js';
import { parseInfo } from './redis/info.js';
import { Keys } from './redis/keys.js';
import { type UntilDone, untilDoneWith } from './redis/untilDone.js';
import { Accounts } from './store/accounts.js';
import type { Log } from './store/change.js';
import { Claims } from './store/claims.js';
import { Matches } from './store/matches.js';
import { Names } from './store/names.js';
import { type SessionObserver, Sessions } from './store/sessions.js';
import { Tokens } from './store/tokens.js';

export interface DeploymentOptions {
  readonly config: Config;
  readonly target: RedisTarget;
  readonly logger: Logger;
  /** How long to wait for Redis, in ms; null: for ever. */
  readonly patienceMs: number | null;
  /**
   * Whether PARTITIONS must be right, and is fixed if it isn't yet, and the user of Redis may do all that a commit does; a
   * tool that only looks takes PARTITIONS from Redis.
   */
  readonly decidesPartitions: boolean;
  readonly onCommit?: CommitObserver;
  readonly onSessionChange?: SessionObserver;
  /** What everything is committed through that handlers and operators commit; default: the committer itself. */
  readonly logThrough?: (log: Log) => Log;
}

/** What all nodes, workers and tools of a deployment share: the data in Redis, and the ways to read and write them. */
export interface Deployment {
  readonly keys: Keys;
  readonly target: RedisTarget;
  /** For reads and small writes. */
  readonly redis: RedisClient;
  readonly clock: RedisClock;
  readonly committer: Committer;
  /** The way to commit. */
  readonly log: Log;
  readonly sessions: Sessions;
  readonly accounts: Accounts;
  readonly tokens: Tokens;
  readonly claims: Claims;
  readonly names: Names;
  readonly matches: Matches;
  readonly untilDone: UntilDone;
  /** Whether the connections to Redis stand. */
  readonly isUp: boolean;
  /** Opens one more connection. */
  connect(
    name: string,
    options?: {
      readonly subscriber?: boolean;
      readonly silenceTimeoutMs?: number;
      /** Whether commands of one turn of the event loop travel together; not for those of BullMQ. Default: yes. */
      readonly pipelining?: boolean;
    },
  ): RedisClient;
  /** Closes all connections. What is not flushed is lost. */
  close(): void;
}

/** A connection without an answer for this long is made again, in ms. */
const SILENCE_MS = 5000;

const OLDEST_MAJOR_VERSION = 7;

/** Connects to a deployment. @throws Error with one clear sentence */
export async function openDeployment(options: DeploymentOptions): Promise<Deployment> {
  const { config, target, logger } = options;
  const clients = new Set<RedisClient>();
  const connect: Deployment['connect'] = (
    name,
    { subscriber = false, silenceTimeoutMs = SILENCE_MS, pipelining = !subscriber } = {},
  ) => {
    const client = connectRedis(target, {
      name: `openchamp:${name}:${config.nodeId}`,
      logger,
      silenceTimeoutMs,
      pipelining,
      subscriber,
    });
    clients.add(client);
    client.raw.once('end', () => clients.delete(client));
    return client;
  };
  let committer: Committer | undefined;
  const close = () => {
    void committer?.close(0);
    for (const client of clients) client.close();
  };

  try {
    const [redis, commits] = [connect('main'), connect('commit', { pipelining: false })];
    await Promise.all([redis.ready(options.patienceMs), commits.ready(options.patienceMs)]);
    const meta = new Keys(config.KEY_PREFIX, 1);
    await checkServer(redis, logger);
    const partitions = options.decidesPartitions
      ? await agreeOnPartitions(redis, meta, config.PARTITIONS)
      : Number((await redis.raw.get(meta.partitionCount())) ?? config.PARTITIONS);

    const keys = new Keys(config.KEY_PREFIX, partitions);
    if (options.decidesPartitions) await checkRights(commits, keys);
    const clock = new RedisClock();
    clock.observe(await redis.time(keys.log(0)));
    committer = new Committer({
      redis: commits,
      keys,
      node: config.nodeId,
      logger,
      waitReplicas: config.WAIT_REPLICAS,
      ...(options.onCommit && { observer: options.onCommit }),
    });
    const log = options.logThrough?.(committer) ?? committer;
    const untilDone = untilDoneWith(logger);
    const claims = new Claims(redis, keys, log);
    const names = new Names(redis, keys, log, claims, logger);
    return {
      keys,
      target,
      redis,
      clock,
      committer,
      log,
      sessions: new Sessions(redis, keys, log, names, untilDone, options.onSessionChange),
      accounts: new Accounts(redis, keys),
      tokens: new Tokens(redis, keys),
      claims,
      names,
      matches: new Matches(redis, keys, log),
      untilDone,
      get isUp() {
        return redis.isReady && commits.isReady;
      },
      connect,
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** The first that writes to a deployment decides how many partitions it has. */
async function agreeOnPartitions(redis: RedisClient, keys: Keys, wanted: number): Promise<number> {
  const key = keys.partitionCount();
  await redis.raw.set(key, wanted, 'NX');
  const agreed = Number(await redis.raw.get(key));
  if (agreed !== wanted) {
    throw new Error(
      `PARTITIONS is ${wanted}, but the data under KEY_PREFIX ${keys.prefix} have ${agreed} partitions; set PARTITIONS=${agreed}.`,
    );
  }
  return agreed;
}

async function checkServer(redis: RedisClient, logger: Logger): Promise<void> {
  for (const server of redis.servers) {
    const info = parseInfo(await server.info());
    const version = info.get('redis_version') ?? 'unknown';
    if (Number.parseInt(version, 10) < OLDEST_MAJOR_VERSION) {
      throw new Error(`The Redis server is ${version}, but 7.0 or later is needed.`);
    }
    const eviction = info.get('maxmemory_policy');
    if (eviction && eviction !== 'noeviction') {
      throw new Error(
        `Redis would evict keys when its memory is full (maxmemory-policy ${eviction}), and sessions, accounts and events with them; set maxmemory-policy to noeviction.`,
      );
    }
    if (info.get('aof_enabled') === '0') {
      logger.warn(
        'Redis keeps no append-only file: what is recorded is lost when it ends; set appendonly to yes',
      );
    }
  }
}
