import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Environment } from './cliProcess.js';
import { tempDir } from './guardian.js';

const SOURCE = fileURLToPath(new URL('./fsyncs.c', import.meta.url));

/** Whether there is a C compiler; without one, what needs it is skipped. */
export const HAS_COMPILER = process.platform === 'linux' && spawnSync('cc', ['--version']).status === 0;

/** What a loss of power leaves of a file for certain. */
export interface Synced {
  /** In bytes. */
  readonly size: number;
  /** All that was written before this is in it: by the wall clock, in ms. */
  readonly upTo: number;
}

/** Watches what a redis-server has flushed to its disk. */
export class Fsyncs {
  private readonly dir = tempDir();

  /** Compiles the library that does so. @throws when that fails */
  constructor() {
    const args = ['-shared', '-fPIC', '-O2', '-o', this.library, SOURCE, '-ldl'];
    const { status, stderr } = spawnSync('cc', args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${SOURCE} could not be compiled: ${stderr}`);
  }

  /** What the server is to be started with. */
  get env(): Environment {
    return { LD_PRELOAD: this.library, FSYNC_LOG: this.log };
  }

  /** How far a file has been flushed. */
  async lastOf(path: string): Promise<Synced> {
    const lines = (await readFile(this.log, 'utf8')).split('\n');
    const last = lines.findLast((line) => line.endsWith(` ${path}`));
    const [size = 0, upTo = 0] = last?.split(' ', 2).map(Number) ?? [];
    return { size, upTo };
  }

  private get library(): string {
    return join(this.dir, 'fsyncs.so');
  }

  private get log(): string {
    return join(this.dir, 'log');
  }
}
