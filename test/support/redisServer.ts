import type { ChildProcess } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { Redis, type RedisOptions } from 'ioredis';
import type { Environment } from './cliProcess.js';
import { eventually } from './eventually.js';
import { spawnGuarded } from './guardian.js';
import { PortTakenError } from './ports.js';

/** Where a server lives: what stays the same over its restarts. */
export interface RedisPlace {
  readonly port: number;
  /** Working directory, with data, the unix socket `s` and the configuration `redis.conf`. */
  readonly dir: string;
  /** Whether stop() removes the directory. */
  readonly temporary: boolean;
  readonly sentinel: boolean;
  /** Size of a disk of its own, see `onOwnDisk`. */
  readonly diskBytes?: number | undefined;
  /** More variables of its environment. */
  readonly env?: Environment | undefined;
}

/** How long a server may take to start or to stop, in ms. */
const PATIENCE_MS = 15_000;

/** A redis-server process on 127.0.0.1 that can be killed, paused and restarted in its place. */
export class RedisServer {
  private child: ChildProcess | undefined;
  private gone: Promise<void> = Promise.resolve();
  private output = '';
  private readonly clients = new Set<Redis>();

  constructor(private readonly place: RedisPlace) {}

  get port(): number {
    return this.place.port;
  }

  get dir(): string {
    return this.place.dir;
  }

  /** `redis://127.0.0.1:<port>` */
  get url(): string {
    return `redis://${this.address}`;
  }

  /** `127.0.0.1:<port>` */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  get socketPath(): string {
    return join(this.dir, 's');
  }

  /** @throws when the server isn't running */
  get pid(): number {
    const pid = this.running?.pid;
    if (pid === undefined) throw new Error(`redis-server on port ${this.port} isn't running`);
    return pid;
  }

  /** Opens a connection that stop() closes. It reconnects by itself; commands fail after 5 s without a connection. */
  client(options: Omit<RedisOptions, 'replyMapping'> = {}): Redis {
    const client = new Redis({
      host: '127.0.0.1',
      port: this.port,
      retryStrategy: () => 50,
      maxRetriesPerRequest: 100,
      ...options,
    });
    client.on('error', () => {}); // its commands tell
    client.once('end', () => this.clients.delete(client));
    this.clients.add(client);
    return client;
  }

  /**
   * Starts the process and waits until it answers.
   * @throws PortTakenError, or an error with what it printed
   */
  async start(): Promise<void> {
    if (this.running) throw new Error(`redis-server on port ${this.port} is already running`);
    const { sentinel, diskBytes, env } = this.place;
    const args = [join(this.dir, 'redis.conf'), ...(sentinel ? ['--sentinel'] : [])];
    const [program, ...rest] = diskBytes ? onOwnDisk(this.dir, diskBytes, args) : ['redis-server', ...args];
    const child = spawnGuarded(program!, rest, {
      cwd: this.dir,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.child = child;
    this.output = '';
    const collect = (chunk: Buffer) => {
      this.output = (this.output + chunk).slice(-8192);
    };
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
    this.gone = new Promise((resolve) => {
      child.once('close', () => resolve());
      child.once('error', (error) => {
        this.output += String(error);
        resolve();
      });
    });
    await Promise.race([this.answers(), this.gone]);
    if (this.running) return;
    const problem = `redis-server did not start on port ${this.port}:\n${this.output}`;
    throw /address already in use/i.test(this.output) ? new PortTakenError(problem) : new Error(problem);
  }

  /** Ends the process in order, closes its clients and removes its directory if that is temporary. */
  async stop(): Promise<void> {
    for (const client of this.clients) client.disconnect();
    await this.end();
    if (this.place.temporary) await rm(this.dir, { recursive: true, force: true });
  }

  /** Sends a signal that ends the process, and waits for its end. While it is paused only SIGKILL does that. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.running?.kill(signal);
    await this.gone;
  }

  /** Starts the server again, with the port, the data and the configuration it had; ends it first if it runs. */
  async restart(): Promise<void> {
    await this.end();
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      try {
        return await this.start();
      } catch (error) {
        if (!(error instanceof PortTakenError) || performance.now() > deadline) throw error;
      }
    }
  }

  /** Stops the process where it is (SIGSTOP): connections stay up, nothing is answered. Resolves when it stands. */
  async pause(): Promise<void> {
    const { pid } = this;
    process.kill(pid, 'SIGSTOP');
    if (process.platform !== 'linux') return;
    const isStopped = async () => /^State:\s+T/m.test(await readFile(`/proc/${pid}/status`, 'utf8'));
    await eventually(isStopped, { intervalMs: 1, message: `redis-server ${pid} stands still` });
  }

  /** Lets a paused process go on (SIGCONT). */
  resume(): void {
    process.kill(this.pid, 'SIGCONT');
  }

  /** The process, unless it has ended. */
  private get running(): ChildProcess | undefined {
    const { child } = this;
    return child?.pid !== undefined && child.exitCode === null && child.signalCode === null
      ? child
      : undefined;
  }

  private async end(): Promise<void> {
    const { running } = this;
    if (running) {
      running.kill('SIGCONT');
      running.kill('SIGTERM');
      const timer = setTimeout(() => running.kill('SIGKILL'), PATIENCE_MS);
      await this.gone;
      clearTimeout(timer);
    }
  }

  /** Waits until PING is answered on the unix socket, which nobody else can listen on. */
  private async answers(): Promise<void> {
    const ready = async () => !this.running || /^(?:\+PONG|-NOAUTH)/.test(await ping(this.socketPath));
    await eventually(ready, { timeoutMs: PATIENCE_MS, intervalMs: 10, message: 'redis-server answers' });
  }
}

/**
 * The command line of a redis-server with a disk of its own (in memory) as its working directory, `disk` in its directory;
 * nobody else sees it, and it is gone with the process.
 */
function onOwnDisk(dir: string, bytes: number, args: readonly string[]): string[] {
  const script =
    'mkdir -p "$1/disk" && mount -t tmpfs -o "size=$2" tmpfs "$1/disk" && shift 2 && exec redis-server "$@"';
  return ['unshare', '--mount', 'sh', '-c', script, 'sh', dir, String(bytes), ...args];
}

/** Sends PING to a unix socket and gives the first bytes of the answer, or '' when the connection ends. */
function ping(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path }, () => socket.write('PING\r\n'));
    socket.once('error', reject);
    socket.once('close', () => resolve(''));
    socket.once('data', (chunk) => {
      resolve(chunk.toString());
      socket.destroy();
    });
  });
}
