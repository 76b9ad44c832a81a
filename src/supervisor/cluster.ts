import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '../config/config.js';
import { startEmbeddedRedis } from '../redis/embedded.js';
import type { Running } from './child.js';
import { checkHaproxy, type GatewayPorts, Haproxy } from './haproxy.js';
import { Kept } from './kept.js';
import { launchNode } from './node.js';
import { cannotListen, freePorts, isFree } from './ports.js';

export interface ClusterOptions {
  readonly config: Config;
  /** How many gateways. */
  readonly nodes: number;
  readonly workers: number;
  readonly logger: Logger;
}

/** How long HAProxy may take to find out that a node is there again, in ms. */
const NOTICE_MS = 15_000;

const LOOPBACK = '127.0.0.1';

/** Redis, gateways, workers and HAProxy, each a process that is kept up, on this machine. */
export class LocalCluster {
  private readonly redis: Kept;
  private readonly gateways: readonly Kept[];
  private readonly workers: readonly Kept[];
  private readonly proxy: Kept;
  private replacing: Promise<void> | undefined;
  private isEnding = false;

  private constructor(
    options: ClusterOptions,
    private readonly haproxy: Haproxy,
    readonly gatewayPorts: readonly GatewayPorts[],
    readonly workerPorts: readonly number[],
  ) {
    const { config, logger } = options;
    const keep = (name: string, launch: (signal: AbortSignal) => Promise<Running>) =>
      new Kept(name, launch, logger);
    let redisUrl = '';
    this.redis = keep('redis', async () => {
      const redis = await startEmbeddedRedis({
        dataDir: config.DATA_DIR,
        log: (line) => logger.info(line),
      });
      redisUrl = redis.url;
      return { ...redis, stop: () => redis.stop().then(() => redis.exited) };
    });
    const keepNode = (command: 'serve' | 'work', name: string, port: number, adminPort: number) =>
      keep(name, (signal) => {
        const environment = {
          ...config.environment,
          HOST: LOOPBACK,
          PORT: `${port}`,
          ADMIN_HOST: LOOPBACK,
          ADMIN_PORT: `${adminPort}`,
          NODE_ID: name,
          PARTITIONS: `${config.PARTITIONS}`,
          REDIS_URL: redisUrl,
          TRUSTED_PROXIES: [LOOPBACK, ...config.trustedProxies].join(','),
        };
        const adminUrl = `http://${LOOPBACK}:${adminPort}`;
        const drainSeconds = config.DRAIN_SECONDS;
        return launchNode({ command, name, environment, adminUrl, drainSeconds }, signal);
      });
    this.gateways = gatewayPorts.map(({ name, port, adminPort }) => keepNode('serve', name, port, adminPort));
    this.workers = workerPorts.map((port, i) => keepNode('work', `worker-${i + 1}`, 0, port));
    this.proxy = keep('haproxy', (signal) => haproxy.launch(signal));
  }

  /**
   * Starts everything and waits until all of it is ready.
   * @param signal when to give up what is being started
   * @throws Error with one clear sentence; nothing is left running then
   */
  static async start(options: ClusterOptions, signal: AbortSignal): Promise<LocalCluster> {
    const { config, nodes, workers } = options;
    await checkHaproxy();
    if (!(await isFree(config.PORT, config.HOST))) throw cannotListen(config.HOST, config.PORT);
    const ports = await freePorts(1 + workers + 2 * nodes, config.PORT);
    const [adminPort, ...others] = ports as [number, ...number[]];
    const workerPorts = others.slice(0, workers);
    const gateways = Array.from({ length: nodes }, (_, i) => ({
      name: `gateway-${i + 1}`,
      port: others[workers + 2 * i]!,
      adminPort: others[workers + 2 * i + 1]!,
    }));
    const haproxy = new Haproxy({
      host: config.HOST,
      port: config.PORT,
      adminPort,
      gateways,
      dir: join(config.DATA_DIR, 'haproxy'),
      environment: config.environment,
    });
    const cluster = new LocalCluster(options, haproxy, gateways, workerPorts);
    const giveUp = () => void cluster.stop();
    signal.addEventListener('abort', giveUp);
    try {
      await cluster.startAll();
    } catch (error) {
      await cluster.stop();
      throw error;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
    return cluster;
  }

  /** Where HAProxy says what it does. */
  get proxyUrl(): string {
    return this.haproxy.operatorsUrl;
  }

  /** Replaces gateways and workers, one after the other; each must be ready before the next one goes. */
  rollingRestart(logger: Logger): Promise<void> {
    this.replacing ??= this.replaceAll(logger).finally(() => {
      this.replacing = undefined;
    });
    return this.replacing;
  }

  /** Ends everything: the gateways drain, Redis is the last to go. @returns whether every process has ended as it should */
  async stop(): Promise<boolean> {
    this.isEnding = true;
    const exits = await Promise.all(this.gateways.map((gateway) => gateway.stop()));
    exits.push(...(await Promise.all(this.workers.map((worker) => worker.stop()))));
    await this.proxy.stop();
    await this.redis.stop();
    return exits.every((exit) => exit === null || exit.code === 0);
  }

  private async startAll(): Promise<void> {
    await this.redis.start();
    const [first, ...others] = this.gateways;
    await first!.start(); // on new data, it decides the number of partitions; if it can't start, no other can
    await Promise.all([...others, ...this.workers].map((node) => node.start()));
    await this.proxy.start();
  }

  private async replaceAll(logger: Logger): Promise<void> {
    logger.info('replacing the gateways and workers, one after the other');
    for (const node of [...this.gateways, ...this.workers]) {
      if (this.isEnding) return;
      await node.replace();
      if (!this.isEnding && !(await this.haproxy.servesAll(NOTICE_MS))) {
        logger.warn('not every gateway gets new connections');
      }
    }
    if (!this.isEnding) logger.info('every gateway and worker has been replaced');
  }
}
