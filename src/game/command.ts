import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type Launcher, type LaunchRequest, playersJson } from './launcher.js';

const LOOK_MS = 500;

/** How long a program must have run to count as started, in ms. */
const SETTLE_MS = 200;

/** Game servers as programs on this machine, with `PORT` and `PLAYERS_JSON` in their environment. */
export class CommandLauncher implements Launcher {
  private readonly running = new Map<string, ChildProcess>();

  /**
   * @param command a command line for the shell; absent for the program that stands for a game server
   * @param environment of the programs
   */
  constructor(
    private readonly command: string | undefined,
    private readonly environment: NodeJS.ProcessEnv,
  ) {}

  async start({ match, port, players }: LaunchRequest): Promise<string> {
    await expectFree(port);
    const env = {
      ...this.environment,
      PORT: String(port),
      PLAYERS_JSON: playersJson(players),
      MATCH_ID: match,
    };
    // a group of its own: it lives on when the worker ends
    const options = { env, detached: true, stdio: 'ignore' } as const;
    const child =
      this.command === undefined
        ? spawn(process.execPath, [fileURLToPath(new URL('./standIn.js', import.meta.url))], options)
        : spawn(this.command, { ...options, shell: true });
    await hasStarted(child);
    child.unref();
    const id = `${child.pid}:${await bootTimeOf(child.pid!)}`;
    this.running.set(id, child);
    child.once('exit', () => this.running.delete(id));
    return id;
  }

  async ended(id: string, signal: AbortSignal): Promise<void> {
    const child = this.running.get(id);
    if (child) {
      await new Promise<void>((resolve, reject) => {
        child.once('exit', () => resolve());
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
      return;
    }
    while (await isAlive(id)) {
      signal.throwIfAborted();
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  async stop(id: string): Promise<void> {
    if (!(await isAlive(id))) return;
    try {
      process.kill(-Number.parseInt(id, 10), 'SIGTERM');
    } catch {
      // it has ended just now
    }
  }
}

function expectFree(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => reject(new Error(`port ${port} cannot be had: ${error.message}`)));
    server.listen({ port, exclusive: true }, () => server.close(() => resolve()));
  });
}

/** Rejects if the program can't be started, or ends at once. */
function hasStarted(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, SETTLE_MS);
    const fail = (why: string) => {
      clearTimeout(timer);
      reject(new Error(`the game server ${why}`));
    };
    child.once('error', (error) => fail(`could not be started: ${error.message}`));
    child.once('exit', (code, signal) => fail(`has ended at once (${signal ?? code})`));
  });
}

async function isAlive(id: string): Promise<boolean> {
  const [pid, startedAt] = id.split(':');
  return (await bootTimeOf(Number(pid))) === startedAt;
}

/**
 * When a process was started, in clock ticks since the boot of the machine, so that a pid is not taken for a later one; empty
 * if there is no such process, or it is a zombie.
 * @see proc_pid_stat(5)
 */
async function bootTimeOf(pid: number): Promise<string> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? '' : fields[19]!;
  } catch {
    return '';
  }
}
