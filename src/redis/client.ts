import keySlot from 'cluster-key-slot';
import { Cluster, Redis, type RedisOptions, ReplyError } from 'ioredis';
import type { Logger } from 'pino';

/** Where Redis is and how to get in: one server, a master watched by Sentinels, or a Cluster. */
export type RedisTarget = {
  readonly username?: string;
  readonly password?: string;
  readonly tls: boolean;
} & (
  | { readonly kind: 'single'; readonly url: string }
  | {
      readonly kind: 'sentinel';
      readonly sentinels: readonly Address[];
      readonly master: string;
      readonly sentinelPassword?: string;
    }
  | { readonly kind: 'cluster'; readonly nodes: readonly Address[] }
);

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface ConnectOptions {
  /** Name of the connection in `CLIENT LIST`. */
  readonly name: string;
  readonly logger: Logger;
  /** A connection that has commands waiting and gets no byte for this long is given up and made again. 0: never. */
  readonly silenceTimeoutMs: number;
  /** Whether commands issued in one turn of the event loop travel together; never on a Cluster. */
  readonly pipelining?: boolean;
  /** Subscribe by shard on a Cluster. */
  readonly subscriber?: boolean;
  /** Commands wait while Redis is away, however long, instead of failing; for those who never have many under way. */
  readonly patient?: boolean;
}

/**
 * A connection to Redis, whatever its form. Unless it is a patient one, commands fail at once while Redis is away (there
 * is no offline queue), and those in flight fail when the connection breaks: whoever needs a definite outcome tries again
 * himself.
 */
export class RedisClient {
  private readonly scripts = new Set<string>();

  constructor(
    /** The ioredis object, for plain commands. */
    readonly raw: Redis | Cluster,
  ) {}

  get isCluster(): boolean {
    return this.raw instanceof Cluster;
  }

  get isReady(): boolean {
    return this.raw.status === 'ready';
  }

  /** Waits for the connection to be usable; rejects with one clear sentence after `timeoutMs`, unless that is null. */
  async ready(timeoutMs: number | null): Promise<void> {
    if (this.isReady) return;
    await new Promise<void>((resolve, reject) => {
      let lastError: Error | undefined;
      const onError = (error: Error) => {
        lastError = error;
      };
      const onReady = () => {
        clearTimeout(timer);
        this.raw.off('error', onError);
        resolve();
      };
      const giveUp = (waitedMs: number) => {
        this.raw.off('ready', onReady);
        this.raw.off('error', onError);
        const why = lastError ? `: ${lastError.message || lastError.name}` : '';
        reject(
          new Error(`Redis could not be reached within ${waitedMs / 1000} s${why}`, { cause: lastError }),
        );
      };
      const timer = timeoutMs === null ? undefined : setTimeout(giveUp, timeoutMs, timeoutMs);
      this.raw.on('error', onError);
      this.raw.once('ready', onReady);
    });
  }

  /** A Lua script as a function of (number of keys, keys…, arguments…); loads it where Redis doesn't have it. */
  script<Answer = string>(
    name: string,
    lua: string,
  ): (keyCount: number, ...rest: (string | number)[]) => Promise<Answer> {
    if (!this.scripts.has(name)) {
      this.raw.defineCommand(name, { lua });
      this.raw.options.autoPipeliningIgnoredCommands!.push(name);
      this.scripts.add(name);
    }
    const command = Reflect.get(this.raw, name) as (...args: unknown[]) => Promise<Answer>;
    return command.bind(this.raw);
  }

  /**
   * Waits until replicas have all that was written to the server that holds `key`, up to now. The key's expiry is set for
   * that: WAIT is about what its own connection has written, and on a Cluster the slot of the key may have moved, or be
   * about to, since the key itself was written.
   * @returns the number of replicas that have it, after at most `timeoutMs`; 0 if there is no such key
   */
  async waitForReplicas(
    key: string,
    ttlSeconds: number,
    replicas: number,
    timeoutMs: number,
  ): Promise<number> {
    const touchAndWait = async (server: Redis, isAsking = false) => {
      const [, touched, reached] = await Promise.all([
        isAsking && server.asking(),
        server.expire(key, ttlSeconds),
        server.wait(replicas, timeoutMs),
      ]);
      return touched === 1 ? reached : 0;
    };
    try {
      return await touchAndWait(this.serverOf(key));
    } catch (error) {
      const heir = ASK.exec((error as Error).message)?.[1];
      if (heir === undefined) throw error;
      return touchAndWait(this.master(heir), true);
    }
  }

  /** Every server that holds keys of its own: the one there is, or the masters of a Cluster. */
  get servers(): readonly Redis[] {
    return this.raw instanceof Cluster ? this.raw.nodes('master') : [this.raw];
  }

  /** Redis' clock, in ms since the epoch. On a Cluster, that of the server that holds `key`. */
  async time(key: string): Promise<number> {
    const [seconds, micros] = await this.serverOf(key).time();
    return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
  }

  /** Closes the connection; what is in flight fails. */
  close(): void {
    this.raw.disconnect();
  }

  private serverOf(key: string): Redis {
    if (!(this.raw instanceof Cluster)) return this.raw;
    return this.master(this.raw.slots[keySlot(key)]?.[0]);
  }

  /** The master at `host:port`. */
  private master(address: string | undefined): Redis {
    const server = this.servers.find(({ options }) => `${options.host}:${options.port}` === address);
    if (!server) throw new Error(`No master is known at ${address}`);
    return server;
  }
}

/** The key is not here any more: its slot is on its way to another master. */
const ASK = /^ASK \d+ (\S+)$/;

/** Whether an error is an answer of Redis (and not a broken connection): the command was refused, or failed. */
export function isRedisReply(error: unknown): boolean {
  return error instanceof ReplyError;
}

/** Refusals by Redis that pass: nothing of the command was executed. */
const PASSING =
  /^(?:LOADING|READONLY|OOM|MISCONF|NOREPLICAS|CLUSTERDOWN|TRYAGAIN|MASTERDOWN|BUSY|MOVED|ASK|NOAUTH|UNBLOCKED)\b/;

/** Whether what a command has failed with goes by, so that it may be tried again: a broken connection, a refusal for now. */
export function isPassing(error: Error): boolean {
  return !isRedisReply(error) || PASSING.test(error.message);
}

/** Opens a connection. It reconnects by itself for as long as it isn't closed; errors are logged here. */
export function connectRedis(target: RedisTarget, options: ConnectOptions): RedisClient {
  const raw = target.kind === 'cluster' ? connectCluster(target, options) : connectServer(target, options);
  let lastProblem = '';
  raw.on('error', (error: Error) => {
    const problem = error.message || error.name;
    if (problem !== lastProblem) {
      options.logger.warn({ connection: options.name, problem }, 'redis connection failed');
    }
    lastProblem = problem;
  });
  raw.on('ready', () => {
    options.logger.debug({ connection: options.name }, 'redis connected');
    lastProblem = '';
  });
  return new RedisClient(raw);
}

const CONNECT_TIMEOUT_MS = 5000;
/** A Sentinel that doesn't answer for this long is passed over, in ms. */
const SENTINEL_TIMEOUT_MS = 1000;
const RECONNECT_MIN_MS = 50;
const RECONNECT_MAX_MS = 1000;

function reconnectDelay(attempt: number): number {
  return (
    Math.min(RECONNECT_MIN_MS * 2 ** Math.min(attempt, 10), RECONNECT_MAX_MS) * (0.5 + Math.random() / 2)
  );
}

/** Scripts of rate-limiter-flexible. */
const LIMITER_SCRIPTS = ['rlflxIncr'];

function commonOptions(target: RedisTarget, options: ConnectOptions) {
  return {
    connectionName: options.name,
    enableOfflineQueue: options.patient ?? false,
    maxRetriesPerRequest: options.patient ? null : 0,
    connectTimeout: CONNECT_TIMEOUT_MS,
    // how long Redis thinks that it will be loading is a guess, and a bad one in the beginning
    maxLoadingRetryTime: RECONNECT_MAX_MS,
    keepAlive: 10_000,
    // on a Cluster ioredis sends a pipeline of reads to the new master of a slot as soon as one of its keys is there, and finds
    // the keys that are still to be moved missing: a valid token would be taken for none
    enableAutoPipelining: options.pipelining === true && target.kind !== 'cluster',
    // ioredis crashes the process if a script is called in a pipeline that was begun before the script was defined, see
    // https://github.com/redis/ioredis/issues/1931: scripts go by themselves
    autoPipeliningIgnoredCommands: [...LIMITER_SCRIPTS],
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
    ...(options.silenceTimeoutMs > 0 && { socketTimeout: options.silenceTimeoutMs }),
    ...(target.username !== undefined && { username: target.username }),
    ...(target.password !== undefined && { password: target.password }),
    ...(target.tls && { tls: {} }),
  } satisfies RedisOptions;
}

function connectServer(target: Exclude<RedisTarget, { kind: 'cluster' }>, options: ConnectOptions): Redis {
  const common = { ...commonOptions(target, options), retryStrategy: reconnectDelay };
  if (target.kind === 'single') {
    return target.url.startsWith('unix://') || target.url.startsWith('/')
      ? new Redis({ ...common, path: target.url.replace(/^unix:\/\//, '') })
      : new Redis(target.url, common);
  }
  return new Redis({
    ...common,
    name: target.master,
    sentinels: [...target.sentinels],
    sentinelRetryStrategy: reconnectDelay,
    sentinelCommandTimeout: SENTINEL_TIMEOUT_MS, // or one that hangs would be waited for for ever
    ...(target.sentinelPassword !== undefined && { sentinelPassword: target.sentinelPassword }),
    enableTLSForSentinelMode: target.tls,
    ...(target.tls && { sentinelTLS: {} }),
  });
}

function connectCluster(target: Extract<RedisTarget, { kind: 'cluster' }>, options: ConnectOptions): Cluster {
  const { enableAutoPipelining, autoPipeliningIgnoredCommands, enableOfflineQueue, ...redisOptions } =
    commonOptions(target, options);
  return new Cluster([...target.nodes], {
    redisOptions,
    enableOfflineQueue,
    enableAutoPipelining,
    autoPipeliningIgnoredCommands,
    shardedSubscribers: options.subscriber ?? false,
    clusterRetryStrategy: reconnectDelay,
    retryDelayOnMoved: 20,
    slotsRefreshInterval: 5000,
    slotsRefreshTimeout: 2000,
    // certificates are for the names of the nodes, not for the addresses that they resolve to
    ...(target.tls && { dnsLookup: (address, done) => done(null, address) }),
  });
}
