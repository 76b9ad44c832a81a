import { execFile } from 'node:child_process';
import { type Launcher, playersJson } from './launcher.js';

export interface ContainerOptions {
  /** Program that runs containers: podman, docker, or one that takes the same arguments. */
  readonly engine: string;
  readonly image: string;
}

/** Port that a game server listens on inside of its container. */
const INNER_PORT = 7000;

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;

/** Game servers in containers, called as OpenChampPS calls them. */
export class ContainerLauncher implements Launcher {
  constructor(private readonly options: ContainerOptions) {}

  async start({ port, players }: { port: number; players: readonly string[] }): Promise<string> {
    const publish = ['-p', `${port}:${INNER_PORT}`];
    const settings = ['-e', `PLAYERS_JSON=${playersJson(players)}`];
    const program = [this.options.image, '--port', String(INNER_PORT)];
    const printed = await this.call(['run', '--rm', '-d', ...publish, ...settings, ...program], {
      timeout: START_TIMEOUT_MS,
    });
    const id = printed.trim().split('\n').at(-1) ?? '';
    if (id === '') throw new Error(`${this.options.engine} run gave no container id`);
    return id;
  }

  async ended(id: string, signal: AbortSignal): Promise<void> {
    try {
      await this.call(['wait', id], { signal });
    } catch (error) {
      if (signal.aborted || (await this.exists(id))) throw error;
    }
  }

  async stop(id: string): Promise<void> {
    await this.call(['stop', id], { timeout: STOP_TIMEOUT_MS }).catch(() => {}); // it has ended
  }

  private async exists(id: string): Promise<boolean> {
    return this.call(['inspect', id], { timeout: STOP_TIMEOUT_MS }).then(
      () => true,
      () => false,
    );
  }

  private call(args: string[], options: { timeout?: number; signal?: AbortSignal }): Promise<string> {
    return new Promise((resolve, reject) => {
      execFile(this.options.engine, args, options, (error, stdout, stderr) => {
        if (!error) resolve(stdout);
        else reject(new Error(`${this.options.engine} ${args[0]} failed: ${stderr.trim() || error.message}`));
      });
    });
  }
}
