import { execFileSync } from 'node:child_process';
import type { CliProcess, Exit, LogLine } from './cliProcess.js';
import { eventually } from './eventually.js';

/** A running command that keeps processes of its own up. */
export class Supervised {
  constructor(protected readonly cli: CliProcess) {}

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
