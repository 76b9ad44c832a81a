import { type ChildProcess, fork } from 'node:child_process';
import type { FromWorker, FromWorkerOf, ToWorker } from './plan.js';

/** A run came to nothing. The message is one sentence. */
export class RunFailed extends Error {}

/** A worker process. */
export class WorkerProcess {
  onSecond: (message: FromWorkerOf<'second'>) => void = () => {};
  onConnecting: (connected: number) => void = () => {};
  readonly ended: Promise<void>;
  private readonly child: ChildProcess;
  private readonly failed: Promise<never>;
  private readonly heard: FromWorker[] = [];
  private wake = () => {};

  constructor(readonly number: number) {
    this.child = fork(new URL('./worker.js', import.meta.url), [], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.child.on('message', (message: FromWorker) => {
      if (message.type === 'second') return this.onSecond(message);
      if (message.type === 'connecting') return this.onConnecting(message.connected);
      this.heard.push(message);
      this.wake();
    });
    this.ended = new Promise((resolve) => this.child.once('exit', () => resolve()));
    this.failed = new Promise((_, reject) => {
      this.child.once('exit', (code, signal) =>
        reject(new RunFailed(`A worker of the load test ended with ${signal ?? code} before its time.`)),
      );
      this.child.once('error', (cause) =>
        reject(new RunFailed(`A worker could not be started: ${cause.message}`)),
      );
    });
    this.failed.catch(() => {}); // whoever waits for it hears of it
  }

  tell(message: ToWorker): void {
    if (this.child.connected) this.child.send(message);
  }

  /** Waits for a message. @throws RunFailed */
  told<T extends FromWorker['type']>(type: T): Promise<FromWorkerOf<T>> {
    const message = new Promise<FromWorkerOf<T>>((resolve) => {
      this.wake = () => {
        const found = this.heard.find((candidate) => candidate.type === type);
        if (found) resolve(found as FromWorkerOf<T>);
      };
      this.wake();
    });
    return Promise.race([message, this.failed]);
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }
}
