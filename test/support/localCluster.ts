import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { CliProcess, type Environment, type Exit, type LogLine } from './cliProcess.js';
import { eventually } from './eventually.js';
import { Fleet } from './fleet.js';
import { tempDir } from './guardian.js';
import { onFreePorts } from './ports.js';

/** HAProxy's folder may be missing from the PATH of those who aren't root. */
process.env.PATH += ':/usr/sbin:/usr/local/sbin';

/** Without HAProxy, what needs it is skipped. */
export const HAS_HAPROXY = spawnSync('haproxy', ['-v']).status === 0;

/** How long a cluster may take until it is ready, in ms. */
const READY_TIMEOUT_MS = 40_000;

/** A running `openchamp cluster`, with data of its own. */
export class LocalCluster {
  private constructor(
    private readonly cli: CliProcess,
    /** The deployment, for the command line and for looking at its log. */
    readonly fleet: Fleet,
    private readonly port: number,
    private readonly redis: Redis,
  ) {}

  /** Starts one and waits until it is ready. */
  static start(args: readonly string[], env: Environment = {}): Promise<LocalCluster> {
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
      try {
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

  get pid(): number {
    return this.cli.pid;
  }

  get stderr(): string {
    return this.cli.stderr;
  }

  /** Everything that its processes have logged. */
  get logs(): readonly LogLine[] {
    return this.cli.logs;
  }

  get exited(): Promise<Exit> {
    return this.cli.exited;
  }

  /** How often each process has been started, such as `gateway-1`; the id of the last one. */
  started(name: string): { readonly times: number; readonly pid: number } {
    const lines = this.logs.filter(({ msg, process }) => msg === 'started' && process === name);
    return { times: lines.length, pid: Number(lines.at(-1)?.pid) };
  }

  /** Waits until a process has been started so many times. */
  async untilStarted(name: string, times: number): Promise<void> {
    await eventually(() => this.started(name).times >= times, {
      timeoutMs: 30_000,
      message: `${name} is started ${times} times`,
    });
  }

  logLine(msg: string): Promise<LogLine> {
    return this.cli.logLine((line) => line.msg === msg, 60_000);
  }

  kill(signal: NodeJS.Signals): void {
    this.cli.kill(signal);
  }

  /** The ids of its processes that live. */
  get living(): number[] {
    const ids = this.logs.flatMap(({ msg, pid }) => (msg === 'started' ? [Number(pid)] : []));
    return ids.filter((pid) => isAlive(pid));
  }

  /** Ends it at once, in whatever state it is. */
  async stop(): Promise<void> {
    this.redis.disconnect();
    this.cli.kill('SIGTERM');
    this.cli.kill('SIGKILL');
    await this.cli.exited;
    for (const pid of this.living) process.kill(pid, 'SIGKILL');
    await eventually(() => this.living.length === 0);
  }
}

function isAlive(pid: number): boolean {
  try {
    return !/^Z/.test(execFileSync('ps', ['-o', 'stat=', '-p', `${pid}`], { encoding: 'utf8' }));
  } catch {
    return false;
  }
}
