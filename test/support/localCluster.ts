import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { CliProcess, type Environment } from './cliProcess.js';
import { Fleet } from './fleet.js';
import { tempDir } from './guardian.js';
import { onFreePorts } from './ports.js';
import { Supervised } from './supervised.js';

/** HAProxy's folder may be missing from the PATH of those who aren't root. */
process.env.PATH += ':/usr/sbin:/usr/local/sbin';

/** Without HAProxy, what needs it is skipped. */
export const HAS_HAPROXY = spawnSync('haproxy', ['-v']).status === 0;

/** How long a cluster may take until it is ready, in ms. */
const READY_TIMEOUT_MS = 40_000;

/** A running `openchamp cluster`, with data of its own. */
export class LocalCluster extends Supervised {
  private constructor(
    cli: CliProcess,
    /** The deployment, for the command line and for looking at its log. */
    readonly fleet: Fleet,
    private readonly port: number,
    private readonly redis: Redis,
  ) {
    super(cli);
  }

  /** Starts one and waits until it is ready. @param early sent to it while it is being started */
  static start(
    args: readonly string[],
    env: Environment = {},
    early?: NodeJS.Signals,
  ): Promise<LocalCluster> {
    return onFreePorts(1, async ([port]) => {
      const dataDir = tempDir();
      const socket = join(dataDir, 'redis', 'redis.sock');
      const redis = new Redis({ path: socket, lazyConnect: true, retryStrategy: () => 50 });
      redis.on('error', () => {}); // its commands tell
      const fleet = new Fleet({ ...env, REDIS_URL: socket }, redis);
      const { REDIS_URL: _, ...settings } = fleet.env;
      const cli = new CliProcess(['cluster', ...args], {
        ...settings,
        HOST: '127.0.0.1',
        PORT: `${port}`,
        DATA_DIR: dataDir,
      });
      fleet.alsoRunBy(cli);
      try {
        if (early) {
          await cli.logLine(({ msg }) => msg === 'started', READY_TIMEOUT_MS);
          cli.kill(early);
        }
        await cli.logLine(({ msg }) => msg === 'the cluster is ready', READY_TIMEOUT_MS);
        await redis.connect();
      } catch (error) {
        cli.kill('SIGKILL');
        throw error;
      }
      return new LocalCluster(cli, fleet, port!, redis);
    });
  }

  /** Where HAProxy serves clients. */
  get wsUrl(): string {
    return `ws://127.0.0.1:${this.port}/ws`;
  }

  get httpUrl(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Ends it at once, in whatever state it is. */
  override async stop(): Promise<void> {
    this.redis.disconnect();
    await super.stop();
  }
}
