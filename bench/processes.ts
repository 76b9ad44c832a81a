import { type ChildProcess, fork, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { type Account, readAccounts } from '../src/load/accounts.js';
import type { Report } from './measurement.js';

/** Those of `npm start` and of the image. */
const NODE_OPTIONS = ['--max-semi-space-size=64'];
const COLLECT = new URL('./collect.js', import.meta.url).href;
const CLI = fileURLToPath(new URL('../../cli.js', import.meta.url));

/** What a measurement has found. */
export interface Measured {
  /** What is counted, each second. */
  readonly perSecond: number;
  /** CPU time for each, in µs: of the server, of Redis, of whoever makes the load; null where it can't be told. */
  readonly cpu: { readonly server: number | null; readonly redis: number | null; readonly load: number };
}

/** A process that is measured. */
export interface Server {
  readonly pid: number;
  readonly port: number;
}

export interface Gateway extends Server {
  /** Resident memory without the part of the heap that nothing is in, after collecting garbage. */
  keptBytes(): Promise<number>;
}

/** All processes of a run; they end with it. */
export class Processes {
  private readonly children: ChildProcess[] = [];
  readonly dir = mkdtempSync(join(tmpdir(), 'openchamp-bench-'));
  /** Where accounts are, see `seed`. */
  readonly tokens = join(this.dir, 'tokens.tsv');

  /** A Redis with an append-only file, flushed each second. */
  async redis(): Promise<Server & { readonly url: string; readonly client: Redis }> {
    const port = await freePort();
    const options = {
      appendonly: 'yes',
      appendfsync: 'everysec',
      save: '',
      'hash-max-listpack-value': '256',
      bind: '127.0.0.1',
      dir: this.dir,
    };
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
    const child = this.own(spawn('redis-server', ['--port', String(port), ...args], { stdio: 'ignore' }));
    const url = `redis://127.0.0.1:${port}`;
    const client = new Redis(url, { retryStrategy: () => 50, maxRetriesPerRequest: 100 });
    client.on('error', () => {}); // until it listens
    await client.ping();
    return { pid: child.pid!, port, url, client };
  }

  async echo(): Promise<Server> {
    const child = this.own(fork(new URL('./echo.js', import.meta.url)));
    const { port } = await messageOf<{ port: number }>(child);
    return { pid: child.pid!, port };
  }

  /** A gateway without limits for clients. */
  async gateway(redisUrl: string): Promise<Gateway> {
    const child = this.own(
      spawn(process.execPath, [...NODE_OPTIONS, '--import', COLLECT, CLI, 'serve'], {
        env: environment(redisUrl),
        stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
      }),
    );
    for await (const line of createInterface(child.stdout!)) {
      const { msg, port } = JSON.parse(line);
      if (msg !== 'listening') continue;
      child.stdout!.resume();
      const keptBytes = async () => {
        child.kill('SIGUSR2');
        return (await messageOf<{ keptBytes: number }>(child)).keptBytes;
      };
      return { pid: child.pid!, port, keptBytes };
    }
    throw new Error('The gateway ended before it listened.');
  }

  /** Accounts with a token each, which are then in the file `tokens`. */
  async seed(redisUrl: string, users: number): Promise<Account[]> {
    const options = { env: environment(redisUrl) };
    await this.cliWith(options, 'seed', '--users', String(users), '--out', this.tokens);
    return readAccounts(this.tokens, users);
  }

  /** Runs a command of the command line to its end. @throws Error when it fails */
  cli(...args: readonly string[]): Promise<void> {
    return this.cliWith({}, ...args);
  }

  /** Runs a task in a process of its own, and tells what it and the servers did meanwhile. @throws Error when it fails */
  async measure(
    script: 'generator' | 'groupCommit',
    task: object,
    pids: { readonly server?: number; readonly redis?: number },
  ): Promise<Measured> {
    const child = this.own(fork(new URL(`./${script}.js`, import.meta.url)));
    child.send(task);
    let before = { server: NaN, redis: NaN };
    const cpu = () => ({ server: cpuSeconds(pids.server), redis: cpuSeconds(pids.redis) });
    for (;;) {
      const report = await messageOf<Report>(child);
      if (report.type === 'failed') throw new Error(report.reason);
      if (report.type === 'begin') {
        before = cpu();
        continue;
      }
      const after = cpu();
      child.disconnect();
      const each = (seconds: number) => (Number.isNaN(seconds) ? null : (seconds / report.count) * 1e6);
      return {
        perSecond: report.count / report.seconds,
        cpu: {
          server: each(after.server - before.server),
          redis: each(after.redis - before.redis),
          load: (report.cpuSeconds / report.count) * 1e6,
        },
      };
    }
  }

  private async cliWith(options: SpawnOptions, ...args: readonly string[]): Promise<void> {
    const child = spawn(process.execPath, [CLI, ...args], {
      ...options,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let errors = '';
    child.stderr!.on('data', (chunk) => {
      errors += chunk;
    });
    const [code] = await once(child, 'exit');
    if (code !== 0) throw new Error(`openchamp ${args[0]} failed: ${errors}`);
  }

  async end(): Promise<void> {
    for (const child of this.children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill();
      await Promise.race([once(child, 'exit'), delay(10_000)]);
    }
    rmSync(this.dir, { recursive: true, force: true });
  }

  private own(child: ChildProcess): ChildProcess {
    this.children.push(child);
    return child;
  }
}

/** The next message of a child process. @throws Error when it ends instead */
function messageOf<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null, signal: string | null) =>
      reject(new Error(`A process of the benchmark ended with ${signal ?? code}.`));
    child.once('exit', ended);
    child.once('message', (message) => {
      child.off('exit', ended);
      resolve(message as T);
    });
  });
}

function environment(redisUrl: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    REDIS_URL: redisUrl,
    HOST: '127.0.0.1',
    PORT: '0',
    ADMIN_PORT: '0',
    MESSAGE_RATE: '0',
    LOGIN_ATTEMPTS: '0',
    LOGIN_ATTEMPTS_PER_ADDRESS: '0',
    DRAIN_SECONDS: '1',
  };
}

/** CPU seconds that a process has used; NaN where `/proc` doesn't tell. */
function cpuSeconds(pid: number | undefined): number {
  if (pid === undefined || process.platform !== 'linux') return NaN;
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

const TICKS_PER_SECOND = 100;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
