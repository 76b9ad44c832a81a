import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** How a process has ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process that runs. */
export interface Running {
  readonly pid: number;
  /** Resolves when it has ended, called for or not. Never rejects. */
  readonly exited: Promise<Exit>;
  /** Ends it in order; by force if that takes too long. Never rejects. */
  stop(): Promise<Exit>;
}

export interface ChildOptions {
  readonly command: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  /** How long it may take to end after SIGTERM before it is killed, in ms. */
  readonly graceMs: number;
}

/**
 * Becomes the command. Its standard input is a pipe that nobody writes to: its end is the end of our process, even by
 * SIGKILL, and then the command is told to end.
 */
const GUARD = `
  exec 3<&0 </dev/null
  { read -r _; kill "$$" 2>/dev/null; } <&3 >/dev/null 2>&1 &
  PATH="$PATH:/usr/sbin:/usr/local/sbin" exec "$@" 3<&-`;

/**
 * Starts a process that doesn't outlive this one. It runs in a session of its own, so that a Ctrl-C in the terminal is
 * for us alone to act on. What it prints goes where ours goes.
 * @throws Error when there can be no more processes
 */
export async function startChild({ command, environment, graceMs }: ChildOptions): Promise<Running> {
  const child = spawn('sh', ['-c', GUARD, 'guard', ...command], {
    env: environment,
    detached: true,
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  const exited = new Promise<Exit>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  await once(child, 'spawn');
  return {
    pid: child.pid as number,
    exited,
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      const exit = await exited;
      clearTimeout(timer);
      return exit;
    },
  };
}
