import { type CliOptions, CliProcess, type Environment, type Exit, type LogLine } from './cliProcess.js';

export interface StartNodeOptions extends CliOptions {
  /** `serve`: a gateway node; `work`: a worker; `start`: everything, with an embedded Redis. */
  readonly command: 'serve' | 'work' | 'start';
  readonly env: Environment;
  /** Arguments after the command. */
  readonly args?: readonly string[];
}

const DEFAULTS: Environment = { HOST: '127.0.0.1', PORT: '0', ADMIN_PORT: '0', LOG_LEVEL: 'info' };

/** How long a node may take until it is ready, in ms. */
const READY_TIMEOUT_MS = 30_000;
/** How long stop() waits before it kills, in ms. More than the default of `DRAIN_SECONDS`. */
const STOP_TIMEOUT_MS = 30_000;

/**
 * Starts a process of the server from `dist/` and waits until it is ready: until it has logged `listening` (a worker:
 * `worker started`) with its ports.
 * @throws when it ends before that; the error has its exit code and what it printed
 */
export async function startNode(options: StartNodeOptions): Promise<NodeProcess> {
  const { command, env, args = [] } = options;
  const cli = new CliProcess([command, ...args], { ...DEFAULTS, ...env }, options);
  const ready = command === 'work' ? 'worker started' : 'listening';
  try {
    const line = await cli.logLine(({ msg }) => msg === ready, READY_TIMEOUT_MS);
    return new NodeProcess(cli, line);
  } catch (error) {
    cli.kill('SIGKILL');
    throw error;
  }
}

export interface RunCliOptions extends CliOptions {
  /** Default: 60,000. */
  readonly timeoutMs?: number;
}

/**
 * Runs a command of the command line to its end.
 * @returns its exit code (null when a signal ended it) and what it printed
 * @throws when it had to be killed after `timeoutMs`
 */
export async function runCli(
  args: readonly string[],
  env: Environment = {},
  options: RunCliOptions = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const { timeoutMs = 60_000 } = options;
  const cli = new CliProcess(args, env, options);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    cli.kill('SIGKILL');
  }, timeoutMs);
  const { code } = await cli.exited;
  clearTimeout(timer);
  const { stdout, stderr } = cli;
  if (timedOut) throw new Error(`openchamp ${args.join(' ')} did not end within ${timeoutMs} ms\n${stderr}`);
  return { code, stdout, stderr };
}

/** A node or worker that runs. */
export class NodeProcess {
  constructor(
    private readonly cli: CliProcess,
    private readonly readyLine: LogLine,
  ) {}

  get pid(): number {
    return this.cli.pid;
  }

  /** The port for clients; a worker has none, and asking for it throws. */
  get port(): number {
    return this.portOf('port');
  }

  get adminPort(): number {
    return this.portOf('adminPort');
  }

  /** `ws://127.0.0.1:<port>/ws` */
  get wsUrl(): string {
    return `ws://127.0.0.1:${this.port}/ws`;
  }

  /** `http://127.0.0.1:<port>`, without a slash at its end. */
  get httpUrl(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** `http://127.0.0.1:<adminPort>`, without a slash at its end. */
  get adminUrl(): string {
    return `http://127.0.0.1:${this.adminPort}`;
  }

  /** What it has logged so far, line by line. */
  get logs(): readonly LogLine[] {
    return this.cli.logs;
  }

  get stdout(): string {
    return this.cli.stdout;
  }

  get stderr(): string {
    return this.cli.stderr;
  }

  /** Settles when the process has ended. */
  get exited(): Promise<Exit> {
    return this.cli.exited;
  }

  /** Waits for a line of the log, from the beginning on; throws when the process ends first or after `timeoutMs`. */
  logLine(matches: (line: LogLine) => boolean, timeoutMs = 10_000): Promise<LogLine> {
    return this.cli.logLine(matches, timeoutMs);
  }

  /** Sends a signal and doesn't wait. */
  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.cli.kill(signal);
  }

  /**
   * Sends SIGTERM and waits for the end, whose code it gives.
   * @throws when it had to be killed after 30 s
   */
  async stop(): Promise<Exit> {
    this.kill('SIGCONT');
    this.kill('SIGTERM');
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.kill('SIGKILL');
    }, STOP_TIMEOUT_MS);
    const exit = await this.exited;
    clearTimeout(timer);
    if (late) throw new Error(`node ${this.pid} did not end within ${STOP_TIMEOUT_MS} ms of SIGTERM`);
    return exit;
  }

  private portOf(name: 'port' | 'adminPort'): number {
    const port = this.readyLine[name];
    if (typeof port !== 'number')
      throw new Error(`The process said no ${name}: ${JSON.stringify(this.readyLine)}`);
    return port;
  }
}
