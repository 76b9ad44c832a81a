import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Result } from '../src/load/result.js';

/** A run of `openchamp load`. */
export class LoadRun {
  /** Settles when all clients have connected that will, and the run begins. */
  readonly connected: Promise<void>;
  private readonly ended: Promise<number | null>;

  /** @param file where it writes its result */
  constructor(
    private readonly child: ChildProcess,
    private readonly file: string,
  ) {
    let told = '';
    this.ended = once(child, 'close').then(([code]) => code as number | null);
    this.connected = new Promise((resolve, reject) => {
      child.stderr!.setEncoding('utf8').on('data', (text: string) => {
        told += text;
        if (/clients connected in/.test(told)) resolve();
      });
      void this.ended.then((code) => reject(new Error(`The load test ended with ${code}: ${told}`)));
    });
    this.connected.catch(() => {}); // whoever waits for it hears of it
  }

  /** Waits for its end. @throws Error when it came to nothing */
  async result(): Promise<Result> {
    await this.connected;
    await this.ended;
    return JSON.parse(readFileSync(this.file, 'utf8')) as Result;
  }

  /** Ends it before its time. */
  stop(): Promise<Result> {
    this.child.kill('SIGINT');
    return this.result();
  }
}
