import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { spawnGuarded } from './guardian.js';

/** The repository. */
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

export type Environment = Readonly<Record<string, string>>;

/** A line that the server has printed to its log. */
export type LogLine = Readonly<Record<string, unknown>>;

export interface Exit {
  /** Exit code, null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface CliOptions {
  /** Working directory; default: the repository. */
  readonly cwd?: string;
  /** What Node.js runs; default: `dist/cli.js`. */
  readonly script?: string;
}

/** A running command of the built command line, with nothing in its environment but PATH, HOME and what is given. */
export class CliProcess {
  stdout = '';
  stderr = '';
  /** The lines on stdout so far that are JSON objects. */
  readonly logs: LogLine[] = [];
  /** Settles when the process has ended and what it printed is read. */
  readonly exited: Promise<Exit>;

  private readonly child: ChildProcess;
  private readonly listeners = new Set<(line: LogLine) => void>();
  private partialLine = '';

  constructor(args: readonly string[], env: Environment, { cwd = ROOT, script = CLI }: CliOptions = {}) {
    const { PATH = '', HOME = '' } = process.env;
    this.child = spawnGuarded(process.execPath, [script, ...args], {
      cwd,
      env: { PATH, HOME, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => this.take(text));
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.exited = exitOf(this.child);
  }

  /** @throws when the process could not be started at all */
  get pid(): number {
    const { pid } = this.child;
    if (pid === undefined) throw new Error(`${process.execPath} could not be started`);
    return pid;
  }

  /** Sends a signal, unless the process has ended. */
  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.child.kill(signal);
  }

  /**
   * Waits for a log line that matches, one printed before counts too.
   * @throws when the process ends first, or after `timeoutMs`; the error has what it printed
   */
  async logLine(matches: (line: LogLine) => boolean, timeoutMs: number): Promise<LogLine> {
    const found = this.logs.find(matches);
    if (found) return found;
    let listener: ((line: LogLine) => void) | undefined;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<LogLine>((resolve, reject) => {
        listener = (line) => {
          if (matches(line)) resolve(line);
        };
        this.listeners.add(listener);
        timer = setTimeout(() => reject(this.failure(`did not log it within ${timeoutMs} ms`)), timeoutMs);
        this.exited.then(({ code, signal }) => reject(this.failure(`exited with ${code ?? signal}`)));
      });
    } finally {
      clearTimeout(timer);
      if (listener) this.listeners.delete(listener);
    }
  }

  private failure(what: string): Error {
    const args = this.child.spawnargs.slice(2).join(' ');
    return new Error(
      `openchamp ${args} ${what}\nstderr: ${this.stderr}\nstdout: ${this.stdout.slice(-4096)}`,
    );
  }

  private take(text: string): void {
    this.stdout += text;
    const lines = (this.partialLine + text).split('\n');
    this.partialLine = lines.pop()!;
    for (const line of lines) {
      const parsed = parseLine(line);
      if (!parsed) continue;
      this.logs.push(parsed);
      for (const listener of this.listeners) listener(parsed);
    }
  }
}

/** How long the output of an ended process may be silent and not closed (a child of its own may have it), in ms. */
const OUTPUT_PATIENCE_MS = 1000;

function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve) => {
    child.once('error', () => resolve({ code: null, signal: null }));
    child.once('exit', (code, signal) => {
      const patience = setTimeout(() => resolve({ code, signal }), OUTPUT_PATIENCE_MS);
      for (const output of [child.stdout, child.stderr]) output?.on('data', () => patience.refresh());
      child.once('close', () => {
        clearTimeout(patience);
        resolve({ code, signal });
      });
    });
  });
}

function parseLine(line: string): LogLine | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return undefined; // not a line of the log; `stdout` has it
  }
}
