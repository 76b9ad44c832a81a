import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { type Account, readAccounts } from '../src/load/accounts.js';
import type { ScenarioName } from '../src/load/scenarios/scenarios.js';
import { LoadRun } from './loadRun.js';
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

/** A Redis with an append-only file. */
export interface RedisServer {
  readonly pid: number;
  readonly url: string;
  readonly client: Redis;
}

export interface Gateway extends Server {
  /** `ws://127.0.0.1:<port>/ws` */
  readonly url: string;
  /** Where its metrics are. */
  readonly metricsUrl: string;
  kill(): void;
  /** Resident memory without the part of the heap that nothing is in, after collecting garbage. */
  keptBytes(): Promise<number>;
}

/** Environment of a process. */
export type Settings = Readonly<Record<string, string>>;

/** All processes of a run; they end with it. */
export class Processes {
  private readonly children: ChildProcess[] = [];
  private readonly clients: Redis[] = [];
  private readonly parts: Processes[] = [];
  private redisServers = 0;
  private files = 0;
  readonly dir = mkdtempSync(join(tmpdir(), 'openchamp-bench-'));
  /** Where accounts are, see `seed`. */
  readonly tokens = join(this.dir, 'tokens.tsv');

  /**
   * On a Unix socket, as that of `npm start`. Its append-only file is flushed each second, and not written anew: that would be
   * some other row's burden.
   */
  async redis(): Promise<RedisServer> {
    const dir = join(this.dir, `redis-${this.redisServers++}`);
    mkdirSync(dir);
    const socket = join(dir, 'redis.sock');
    const options = {
      port: '0',
      unixsocket: socket,
      appendonly: 'yes',
      appendfsync: 'everysec',
      'auto-aof-rewrite-percentage': '0',
      save: '',
      'hash-max-listpack-value': '256',
      dir,
    };
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
    const child = this.own(spawn('redis-server', args, { stdio: 'ignore' }));
    const client = new Redis(socket, { retryStrategy: () => 50, maxRetriesPerRequest: 100 });
    client.on('error', () => {}); // until it listens
    this.clients.push(client);
    await client.ping();
    return { pid: child.pid!, url: socket, client };
  }

  echo(): Promise<Server> {
    return this.bareServer('echo');
  }

  /** Answers cycles once they are recorded, and does nothing else. */
  bareCycles(redisUrl: string): Promise<Server> {
    return this.bareServer('bareCycles', redisUrl);
  }

  private async bareServer(script: string, ...args: readonly string[]): Promise<Server> {
    const url = new URL(`./${script}.js`, import.meta.url);
    const child = this.own(fork(url, args, { execArgv: NODE_OPTIONS }));
    const { port } = await messageOf<{ port: number }>(child);
    return { pid: child.pid!, port };
  }

  /** A gateway without limits for clients. @param settings on top of that */
  async gateway(redisUrl: string, settings: Settings = {}): Promise<Gateway> {
    const { child, line } = await this.node('serve', redisUrl, settings);
    const { port, adminPort } = line;
    return {
      pid: child.pid!,
      port,
      url: `ws://127.0.0.1:${port}/ws`,
      metricsUrl: `http://127.0.0.1:${adminPort}/metrics`,
      kill: () => void child.kill('SIGKILL'),
      async keptBytes() {
        child.kill('SIGUSR2');
        return (await messageOf<{ keptBytes: number }>(child)).keptBytes;
      },
    };
  }

  async worker(redisUrl: string, settings: Settings = {}): Promise<{ readonly metricsUrl: string }> {
    const { line } = await this.node('work', redisUrl, settings);
    return { metricsUrl: `http://127.0.0.1:${line.adminPort}/metrics` };
  }

  private async node(command: 'serve' | 'work', redisUrl: string, settings: Settings) {
    const child = this.own(
      spawn(process.execPath, [...NODE_OPTIONS, '--import', COLLECT, CLI, command], {
        env: { ...environment(redisUrl), ...settings },
        stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
      }),
    );
    for await (const text of createInterface(child.stdout!)) {
      const line = JSON.parse(text) as { msg: string; port: number; adminPort: number };
      if (line.msg !== 'listening' && line.msg !== 'worker started') continue;
      child.stdout!.resume();
      return { child, line };
    }
    throw new Error(`A process (${command}) ended before it was ready.`);
  }

  /** Accounts with a token each, which are then in the file `tokens`. */
  async seed(redisUrl: string, users: number): Promise<Account[]> {
    const code = await this.cli(redisUrl, 'seed', '--users', String(users), '--out', this.tokens);
    if (code !== 0) throw new Error('The accounts could not be made.');
    return readAccounts(this.tokens, users);
  }

  /** A file of some of the accounts, as `seed` writes it. @returns its path */
  accountsFile(accounts: readonly Account[]): string {
    const file = join(this.dir, `accounts-${this.files++}.tsv`);
    writeFileSync(file, accounts.map(({ username, token }) => `${username}\t${token}\n`).join(''));
    return file;
  }

  /** Runs a command of the command line on a deployment. @returns its exit code */
  async cli(redisUrl: string, ...args: readonly string[]): Promise<number | null> {
    const child = this.own(
      spawn(process.execPath, [CLI, ...args], {
        env: environment(redisUrl),
        stdio: ['ignore', 'ignore', 'inherit'],
      }),
    );
    const [code] = (await once(child, 'exit')) as [number | null];
    return code;
  }

  /** Begins a load test. @param options of `openchamp load`, without their dashes */
  load(scenario: ScenarioName, options: Readonly<Record<string, string | number>>): LoadRun {
    const file = join(this.dir, `load-${this.files++}.json`);
    const args = Object.entries({ ...options, json: file }).flatMap(([name, value]) => [
      `--${name}`,
      String(value),
    ]);
    const child = spawn(process.execPath, [CLI, 'load', scenario, '--allow-errors', ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    return new LoadRun(this.own(child), file);
  }

  /** Runs another program to its end. @returns what it has printed @throws Error when it fails */
  async output(program: string, args: readonly string[]): Promise<string> {
    const child = this.own(spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] }));
    let output = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) throw new Error(`${program} ended with ${code}: ${output}`);
    return output;
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
      await once(child, 'exit');
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

  /** Processes that may end before the others, and end with them. */
  apart(): Processes {
    const part = new Processes();
    this.parts.push(part);
    return part;
  }

  /** Ends them, and this process, when it is told to end. */
  endOnSignals(): void {
    const interrupted = () => void this.end().then(() => process.exit(130));
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupted);
  }

  async end(): Promise<void> {
    for (const part of this.parts.splice(0)) await part.end();
    for (const client of this.clients) client.disconnect();
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
    CHAT_RATE: '0',
    LOGIN_ATTEMPTS: '0',
    LOGIN_ATTEMPTS_PER_ADDRESS: '0',
    DRAIN_SECONDS: '1',
  };
}

/** CPU seconds that a process has used so far; NaN where `/proc` doesn't tell. */
export function cpuSeconds(pid: number | undefined): number {
  if (pid === undefined || process.platform !== 'linux') return NaN;
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

const TICKS_PER_SECOND = 100;
