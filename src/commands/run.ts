import { setFlagsFromString } from 'node:v8';
import type { Logger } from 'pino';
import { createMetrics } from '../admin/metrics.js';
import { startAdmin } from '../admin/server.js';
import { Publisher } from '../bus/publisher.js';
import { type Config, checkTls, defaultRedis } from '../config/config.js';
import { type Deployment, openDeployment } from '../deployment.js';
import { createLogger, sessionLog } from '../logger.js';
import { Operator } from '../operator/operator.js';
import type { RedisClient } from '../redis/client.js';
import { type EmbeddedRedis, startEmbeddedRedis } from '../redis/embedded.js';
import type { Server } from '../server.js';
import type { Tracing } from '../tracing/tracing.js';
import { within } from '../within.js';
import { startWorker, type Worker } from '../worker.js';
import { banner } from './banner.js';
import { untilToldToEnd } from './signals.js';

/** What a process does: serve clients, work in the background, or all of it with a Redis of its own. */
export type Role = 'start' | 'serve' | 'work';

const EXIT_NOT_RECORDED = 3;

/**
 * The threads that V8 has for collecting young garbage bring little, for most of that is dead; and where other processes want
 * the cores, too, the whole node stands still until the last of the threads has had its turn.
 */
const COLLECT_BY_ONE_THREAD = '--no-parallel-scavenge';

/**
 * Runs a node until it is told to end by SIGTERM or SIGINT; a second signal ends it at once.
 * @returns the exit code: 0, or 3 if something could not be recorded any more
 * @throws Error with one clear sentence when it can't start
 */
export async function run(role: Role, config: Config): Promise<number> {
  setFlagsFromString(COLLECT_BY_ONE_THREAD);
  const logger = createLogger(config.LOG_LEVEL).child({ node: config.nodeId });
  process.on('unhandledRejection', (error) => logger.error({ err: error }, 'a promise was rejected unheard'));
  if (role === 'start' && config.redis) {
    throw new Error('`start` brings its own Redis; with REDIS_* variables set, use `serve` and `work`.');
  }
  if (role !== 'work') checkTls(config);
  const ending = untilToldToEnd();
  const takeDown: (() => Promise<unknown>)[] = [];
  try {
    const embedded = role === 'start' ? await startEmbedded(config, logger) : undefined;
    if (embedded) takeDown.push(() => embedded.stop());
    const node = await startNode(role, config, embedded, logger, ending, takeDown);
    if (!node) return 0;
    const { admin, server } = node;
    const ports = { ...(server && { port: server.port }), adminPort: admin.port };
    logger.info(ports, role === 'work' ? 'worker started' : 'listening');
    if (role === 'start') process.stdout.write(banner(config, ports));

    const told = ending.then((signal) => ({ reason: signal, actor: undefined }));
    const dismissed = server?.dismissed.then((actor) => ({ reason: 'drained by an operator', actor }));
    const broken = embedded && unexpectedEnd(embedded).then((reason) => ({ reason, actor: undefined }));
    const { reason, actor } = await Promise.race([told, dismissed ?? told, broken ?? told]);
    logger.info({ reason, actor }, 'going away');
    const isRecorded = server ? await server.drain(actor) : true;
    if (!isRecorded) logger.error('not everything could be recorded in the event log');
    return isRecorded ? 0 : EXIT_NOT_RECORDED;
  } finally {
    for (const step of takeDown.reverse()) await step();
  }
}

async function startEmbedded(config: Config, logger: Logger): Promise<EmbeddedRedis> {
  return startEmbeddedRedis({ dataDir: config.DATA_DIR, log: (line) => logger.info(line) });
}

interface Node {
  readonly server: Server | undefined;
  readonly worker: Worker | undefined;
  readonly admin: { readonly port: number };
}

/** Starts the parts of a process, and notes how each is taken down. Null: it was told to end before Redis was there. */
async function startNode(
  role: Role,
  config: Config,
  embedded: EmbeddedRedis | undefined,
  logger: Logger,
  ending: Promise<unknown>,
  takeDown: (() => Promise<unknown>)[],
): Promise<Node | null> {
  let deployment: Deployment | undefined;
  let server: Server | undefined;
  let worker: Worker | undefined;
  const metrics = createMetrics({
    connections: () => server?.connections ?? 0,
    sessions: () => server?.sessions ?? 0,
    messages: () => server?.messages ?? new Map(),
    closes: () => server?.closes ?? new Map(),
    busSubscriptions: () => server?.busSubscriptions ?? 0,
    hashQueue: () => server?.passwordsQueued ?? 0,
    backlog: () => deployment?.committer.backlog ?? 0,
    oldestBatchSeconds: () => (deployment?.committer.oldestBatchMs ?? 0) / 1000,
    isRedisUp: () => deployment?.isUp ?? false,
    overview: async () => worker?.overview() ?? null,
  });
  let publisher: Publisher | undefined;
  let operator: Operator | undefined;
  const admin = await startAdmin({
    host: config.ADMIN_HOST,
    port: config.ADMIN_PORT,
    readiness: async () => {
      if (!deployment) return 'Redis has not been reached yet';
      return unreadiness(role, server, worker) ?? (await unanswering(deployment.redis));
    },
    metrics,
    api:
      config.ADMIN_TOKEN === undefined
        ? null
        : {
            token: config.ADMIN_TOKEN,
            tools: () => (deployment && operator && publisher ? { deployment, operator, publisher } : null),
            logger,
          },
    logger,
  });
  takeDown.push(() => admin.close());

  const tracing = await startTracing(config, logger);
  if (tracing) takeDown.push(() => tracing.close());
  const logChange = sessionLog(logger);
  const opening = openDeployment({
    config,
    target: embedded
      ? { kind: 'single', url: embedded.url, tls: false }
      : (config.redis ?? defaultRedis(config)),
    logger,
    patienceMs: config.REDIS_WAIT_SECONDS === 0 ? null : config.REDIS_WAIT_SECONDS * 1000,
    decidesPartitions: true,
    onCommit: metrics.commits,
    ...(tracing && { logThrough: (log) => tracing.log(log) }),
    onSessionChange: (session, events) => {
      for (const event of events) {
        logChange(session, event.type);
        metrics.sessionEvent(event);
      }
    },
  });
  const opened = await Promise.race([opening, ending.then(() => null)]);
  if (!opened) return null;
  deployment = opened;
  const { close, redis, keys } = deployment;
  takeDown.push(async () => close());
  publisher = new Publisher(redis, keys, logger);
  operator = new Operator(deployment, publisher, config.COMMIT_TIMEOUT_MS);

  if (role !== 'serve') {
    worker = await startWorker(config, deployment, logger, role === 'start');
    takeDown.push(() => worker!.close());
  }
  if (role !== 'work')
    server = await (await loadServer())(config, deployment, logger, {
      waited: metrics.messageWaited,
      tracing,
    });
  return { server, worker, admin };
}

async function startTracing(config: Config, logger: Logger): Promise<Tracing | null> {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_TRACES_SAMPLER_ARG: ratio, nodeId: node } = config;
  if (endpoint === undefined) return null;
  return (await import('../tracing/tracing.js')).startTracing({ endpoint, ratio, node, logger });
}

function unreadiness(role: Role, server: Server | undefined, worker: Worker | undefined): string | null {
  if ((role !== 'work' && !server) || (role !== 'serve' && !worker)) return 'starting';
  return server?.unreadiness() ?? worker?.unreadiness() ?? null;
}

/** Whether Redis answers at all: a connection may be open and dead. */
async function unanswering(redis: RedisClient): Promise<string | null> {
  const answer = await within(
    ROUND_TRIP_MS,
    redis.raw.ping().catch(() => null),
  );
  return answer === 'PONG' ? null : 'Redis does not answer';
}

/** How long Redis may take to answer a node that is ready, in ms. */
const ROUND_TRIP_MS = 1000;

/** uWebSockets is a binary for certain platforms; where it can't load, only gateways suffer. */
async function loadServer(): Promise<typeof import('../server.js').startServer> {
  try {
    return (await import('../server.js')).startServer;
  } catch (error) {
    throw new Error(
      `uWebSockets.js cannot be loaded on this machine (Node.js ${process.versions.node}, ${process.platform} ${process.arch}): it needs Linux with glibc 2.27 (Node 20) or 2.38 (Node 22 and 24), macOS or Windows.`,
      { cause: error },
    );
  }
}

async function unexpectedEnd(embedded: EmbeddedRedis): Promise<string> {
  const { code, signal } = await embedded.exited;
  return `the embedded Redis has ended (${signal ?? code})`;
}
