import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type LaunchRequest, playersJson } from './launcher.js';
import type { Runner } from './local.js';
import { startTimeOf } from './startTime.js';

const LOOK_MS = 500;

/** How long a program must have run to count as started, in ms. */
const SETTLE_MS = 200;

/** How long the program that stands for a game server may take until it listens, in ms. */
const LISTENING_MS = 30_000;

/** Game servers as programs on this machine, with `PORT` and `PLAYERS_JSON` in their environment. */
export class CommandRunner implements Runner {
  /** The ends of those that this process has started. */
  private readonly running = new Map<string, Promise<unknown>>();

  /**
   * @param command a command line for the shell; absent for the program that stands for a game server
   * @param environment of the programs
   */
  constructor(
    private readonly command: string | undefined,
    private readonly environment: NodeJS.ProcessEnv,
  ) {}

  async start({ match, players }: LaunchRequest, port: number): Promise<string> {
    const env = {
      ...this.environment,
      PORT: String(port),
      PLAYERS_JSON: playersJson(players),
      MATCH_ID: match,
    };
    const child = this.command === undefined ? spawnStandIn(env) : spawnCommand(this.command, env);
    const end = endOf(child);
    const isReady = this.command === undefined ? listens(child) : delay(SETTLE_MS).then(() => null);
    const problem = await Promise.race([end, isReady]);
    const startedAt = child.pid === undefined || problem !== null ? '' : await startTimeOf(child.pid);
    if (startedAt === '') {
      if (child.pid !== undefined) terminate(child.pid);
      throw new Error(`the game server ${problem ?? 'has ended at once'}`);
    }
    child.unref();
    const id = `${child.pid}:${startedAt}`;
    this.running.set(id, end);
    void end.then(() => this.running.delete(id));
    return id;
  }

  async ended(id: string, signal: AbortSignal): Promise<void> {
    const end = this.running.get(id);
    if (end) return unlessAborted(end, signal);
    while (await isAlive(id)) {
      signal.throwIfAborted();
      await delay(LOOK_MS);
    }
  }

  async stop(id: string): Promise<void> {
    if (await isAlive(id)) terminate(Number.parseInt(id, 10));
  }
}

/** In a group of its own: it lives on when the worker ends. */
const OF_ITS_OWN = { detached: true, stdio: 'ignore' } as const;

function spawnCommand(command: string, env: NodeJS.ProcessEnv): ChildProcess {
  return spawn(command, { ...OF_ITS_OWN, env, shell: true });
}

function spawnStandIn(env: NodeJS.ProcessEnv): ChildProcess {
  const program = fileURLToPath(new URL('./standIn.js', import.meta.url));
  return spawn(process.execPath, [program], {
    ...OF_ITS_OWN,
    env,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
}

/** Resolves to how a program has ended, or why it has never begun. To be called right after it was spawned. */
function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(`could not be started: ${error.message}`));
    child.once('exit', (code, signal) => resolve(`has ended at once (${signal ?? code})`));
  });
}

/** Resolves to null once the program that stands for a game server says that it listens, or else to what is wrong. */
function listens(child: ChildProcess): Promise<string | null> {
  return new Promise((resolve) => {
    setTimeout(resolve, LISTENING_MS, 'does not listen').unref();
    child.once('message', () => {
      child.disconnect();
      resolve(null);
    });
  });
}

/** Ends a program and those that it has started. */
function terminate(pid: number): void {
  try {
    process.kill(-pid, 'SIGTERM');
  } catch {
    // it has ended just now
  }
}

async function isAlive(id: string): Promise<boolean> {
  const [pid, startedAt] = id.split(':');
  const found = await startTimeOf(Number(pid));
  return found !== '' && found === startedAt;
}

/** Waits for a promise that never rejects. @throws by the signal */
function unlessAborted(end: Promise<unknown>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    void end.then(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    });
  });
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
