import type { Logger } from 'pino';
import type { Config } from '../config/config.js';
import { Kept } from './kept.js';
import { launchNode } from './node.js';
import { cannotListen, claimPort, isFree, type PortClaim } from './ports.js';

export interface GatewaysOptions {
  readonly config: Config;
  readonly count: number;
  /** Where operators are served on a port, without a slash at the end. */
  readonly adminUrl: (port: number) => string;
  readonly logger: Logger;
}

/** Of a label of a node, what leaves room for a dash and a number, in characters. */
const LABEL_LENGTH = 59;

/** Gateways of this machine that share HOST:PORT, each a process that is kept up. */
export class Gateways {
  private readonly gateways: readonly Kept[];

  private constructor(
    private readonly claim: PortClaim,
    { config, adminUrl, logger }: GatewaysOptions,
    /** Where each of them serves operators. */
    readonly adminPorts: readonly number[],
  ) {
    const hashConcurrency = Math.ceil(config.HASH_CONCURRENCY / adminPorts.length);
    this.gateways = adminPorts.map((adminPort, i) => {
      const name = `gateway-${i + 1}`;
      const options = {
        command: 'serve' as const,
        name,
        environment: {
          ...config.environment,
          ADMIN_PORT: `${adminPort}`,
          HASH_CONCURRENCY: `${hashConcurrency}`,
          NODE_ID: `${config.nodeLabel.slice(0, LABEL_LENGTH)}-${i + 1}`,
          SHARE_PORT: 'true',
        },
        adminUrl: adminUrl(adminPort),
        drainSeconds: config.DRAIN_SECONDS,
      };
      return new Kept(name, (signal) => launchNode(options, signal), logger);
    });
  }

  /** Gets hold of their ports; nothing is started yet. @throws Error with one clear sentence when one can't be had */
  static async prepare(options: GatewaysOptions): Promise<Gateways> {
    const { HOST, PORT, ADMIN_HOST, ADMIN_PORT } = options.config;
    const claim = await claimPort(PORT, HOST);
    const adminPorts = Array.from({ length: options.count }, (_, i) => ADMIN_PORT + i);
    for (const port of adminPorts) {
      if (await isFree(port, ADMIN_HOST)) continue;
      claim.release();
      throw cannotListen(ADMIN_HOST, port, 'ADMIN');
    }
    return new Gateways(claim, options, adminPorts);
  }

  /** Starts them and waits until all are ready. @throws Error with one clear sentence; some may run then, `stop` ends them */
  async start(): Promise<void> {
    const [first, ...others] = this.gateways;
    await first!.start(); // on new data, it decides the number of partitions; if it can't start, no other can
    await Promise.all(others.map((gateway) => gateway.start()));
  }

  /** Ends them for good: each drains. @returns whether every process has ended as it should */
  async stop(): Promise<boolean> {
    const exits = await Promise.all(this.gateways.map((gateway) => gateway.stop()));
    this.claim.release();
    return exits.every((exit) => exit === null || exit.code === 0);
  }
}
