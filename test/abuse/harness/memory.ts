import { readFile } from 'node:fs/promises';

/** Memory of a process that is in RAM now, in MB; from /proc, so on Linux only. */
export async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) / 1024;
}

/** Watches the memory of a process from its beginning on until stop(), which gives the most it had meanwhile, in MB. */
export class MemoryWatch {
  private most = 0;
  private readonly timer: NodeJS.Timeout;

  constructor(private readonly pid: number) {
    this.timer = setInterval(() => void this.look(), INTERVAL_MS);
  }

  async stop(): Promise<number> {
    clearInterval(this.timer);
    await this.look();
    return this.most;
  }

  private async look(): Promise<void> {
    this.most = Math.max(this.most, await residentMb(this.pid));
  }
}

const INTERVAL_MS = 50;
