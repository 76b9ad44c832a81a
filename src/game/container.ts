import { execFile } from 'node:child_process';
import { within } from '../within.js';
import { type LaunchRequest, playersJson } from './launcher.js';
import { PortTaken, type Runner } from './local.js';

export interface ContainerOptions {
  /** Program that runs containers: podman, docker, or one that takes the same arguments. */
  readonly engine: string;
  readonly image: string;
  /** How long it may take to start one, in ms. */
  readonly startTimeoutMs?: number;
}

/** Port that a game server listens on inside of its container. */
const INNER_PORT = 7000;

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;

/** What podman and docker say of a container that is not there any more, and of a port that somebody else has. */
const GONE = /no such (?:container|object)/i;
const TAKEN = /address already in use|port is already allocated/i;

/** Game servers in containers, called as OpenChampPS calls them. */
export class ContainerRunner implements Runner {
  constructor(private readonly options: ContainerOptions) {}

  async start({ players }: LaunchRequest, port: number): Promise<string> {
    const { engine, image, startTimeoutMs = START_TIMEOUT_MS } = this.options;
    const publish = ['-p', `${port}:${INNER_PORT}`];
    const settings = ['-e', `PLAYERS_JSON=${playersJson(players)}`];
    const program = [image, '--port', String(INNER_PORT)];
    const starting = this.call(['run', '--rm', '-d', ...publish, ...settings, ...program]).then(idIn);
    const id = await within(startTimeoutMs, starting).catch((error: Error) => {
      throw TAKEN.test(error.message) ? new PortTaken(error.message, { cause: error }) : error;
    });
    if (id === undefined) {
      // an engine that is cut off may start it all the same, and then nobody would know of it
      starting.then(
        (late) => this.stop(late),
        () => {},
      );
      throw new Error(`${engine} run takes longer than ${startTimeoutMs / 1000} s`);
    }
    if (id === '') throw new Error(`${engine} run gave no container id`);
    return id;
  }

  async ended(id: string, signal: AbortSignal): Promise<void> {
    try {
      await this.call(['wait', id], { signal });
    } catch (error) {
      if (signal.aborted || !(await this.isGone(id))) throw error;
    }
  }

  async stop(id: string): Promise<void> {
    await this.call(['stop', id], { timeout: STOP_TIMEOUT_MS }).catch(() => {}); // it has ended
  }

  private async isGone(id: string): Promise<boolean> {
    return this.call(['inspect', id], { timeout: STOP_TIMEOUT_MS }).then(
      () => false,
      (error: Error) => GONE.test(error.message),
    );
  }

  private call(args: string[], options: { timeout?: number; signal?: AbortSignal } = {}): Promise<string> {
    return new Promise((resolve, reject) => {
      execFile(this.options.engine, args, options, (error, stdout, stderr) => {
        if (!error) resolve(stdout);
        else reject(new Error(`${this.options.engine} ${args[0]} failed: ${stderr.trim() || error.message}`));
      });
    });
  }
}

/** The container's id is the last line that was printed. */
function idIn(printed: string): string {
  return printed.trim().split('\n').at(-1) ?? '';
}
