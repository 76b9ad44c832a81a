import { type ChildProcess, fork } from 'node:child_process';
import type { Account } from './accounts.js';
import { nowMs } from './clock.js';
import { type Observed, Observer } from './metrics.js';
import { type FromWorker, LATE, type Plan, type ToWorker } from './plan.js';
import { DELIVERIES_DUE, DELIVERY } from './scenarios/chat.js';
import { type Latencies, Tally } from './tally.js';

/** What happened in some time. */
export interface Outcome {
  readonly operations: Readonly<Record<string, Latencies>>;
  readonly errors: Readonly<Record<string, number>>;
  readonly counters: Readonly<Record<string, number>>;
}

/** A second of the run. */
export interface Second extends Outcome {
  /** Counted from 0. */
  readonly second: number;
  /** Clients that are connected at its end. */
  readonly connected: number;
}

/** What came out of a run. */
export interface Result {
  /** When it began, ISO 8601. */
  readonly startedAt: string;
  /** Connecting, and what a scenario does before the run. */
  readonly setup: Outcome & { readonly seconds: number; readonly connected: number };
  readonly seconds: readonly Second[];
  /** The run as a whole, its tail included. */
  readonly totals: Outcome;
  /** From the beginning of the run to its end. */
  readonly durationSeconds: number;
  readonly generator: {
    /** CPU seconds of all workers during the run. */
    readonly cpuSeconds: number;
    /** How late operations were begun though a client was free, in ms; null without a schedule. */
    readonly late: Latencies | null;
  };
  readonly server: readonly Observed[];
}

/** What is told while a run goes on. */
export interface Progress {
  /** So many clients have connected so far. */
  connecting(clients: number): void;
  /** All have connected that will. */
  connected(clients: number, seconds: number): void;
  second(second: Second): void;
}

/** A run came to nothing. The message is one sentence. */
export class RunFailed extends Error {}

/** Time for all workers to hear that it begins, in ms. */
const HEAD_START_MS = 100;

/** What a run needs besides its plan. */
export interface RunRequest {
  readonly plan: Plan;
  /** One for each client. */
  readonly accounts: readonly Account[];
  /** Where the server's metrics are. */
  readonly metrics: readonly string[];
  readonly progress: Progress;
  /** Ends the run before its time. */
  readonly signal: AbortSignal;
}

/**
 * Runs a plan in worker processes.
 * @throws RunFailed when no client could connect, the metrics can't be read, or a worker ended before its time
 */
export async function runPlan(request: RunRequest): Promise<Result> {
  const workers = Array.from({ length: request.plan.workers }, (_, worker) => new Worker(worker));
  try {
    return await conduct(request, workers);
  } finally {
    for (const worker of workers) worker.kill();
  }
}

async function conduct(
  { plan, accounts, metrics, progress, signal }: RunRequest,
  workers: readonly Worker[],
): Promise<Result> {
  const observers = metrics.map((url) => new Observer(url));
  for (const observer of observers) {
    const problem = await observer.problem();
    if (problem) throw new RunFailed(`The metrics of ${observer.url} cannot be read: ${problem}.`);
  }
  const setupMs = nowMs();
  for (const worker of workers) {
    const own = accounts.filter((_, i) => i % plan.workers === worker.number);
    worker.tell({ type: 'plan', plan: { ...plan, worker: worker.number, accounts: own } });
  }
  const soFar = workers.map(() => 0);
  for (const worker of workers) {
    worker.onConnecting = (connected) => {
      soFar[worker.number] = connected;
      progress.connecting(soFar.reduce((sum, clients) => sum + clients, 0));
    };
  }
  const setup = new Tally();
  let connected = 0;
  for (const ready of await Promise.all(workers.map((worker) => worker.told('ready')))) {
    setup.add(ready.counts);
    connected += ready.connected;
  }
  const setupSeconds = (nowMs() - setupMs) / 1000;
  if (connected === 0) {
    throw new RunFailed(`No client could connect: ${Object.keys(setup.errors()).join('; ')}.`);
  }
  progress.connected(connected, setupSeconds);

  const timeline = new Timeline(workers.length, (second) => progress.second(second));
  for (const worker of workers) worker.onSecond = (message) => timeline.add(message);
  const startedAt = new Date(Date.now() + HEAD_START_MS).toISOString();
  const beginMs = nowMs() + HEAD_START_MS;
  for (const observer of observers) observer.begin(beginMs);
  const tellAll = (message: ToWorker) => {
    for (const worker of workers) worker.tell(message);
  };
  tellAll({ type: 'begin', atMs: beginMs, listeners: connected });
  const stop = () => tellAll({ type: 'stop' });
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  await Promise.all(workers.map((worker) => worker.told('idle')));
  const durationSeconds = (nowMs() - beginMs) / 1000;
  await timeline.allDelivered(plan.timeoutMs);
  const server = await Promise.all(observers.map((observer) => observer.end()));
  tellAll({ type: 'end' });
  let cpuSeconds = 0;
  for (const left of await Promise.all(workers.map((worker) => worker.told('left')))) {
    cpuSeconds += left.usage.cpuSeconds;
    timeline.addRest(left.counts);
  }
  await Promise.all(workers.map((worker) => worker.ended));
  if (timeline.undelivered > 0) timeline.total.failed(`${DELIVERY}: not received`, timeline.undelivered);

  const { [LATE]: late = null, ...operations } = timeline.total.latencies();
  return {
    startedAt,
    setup: { ...outcomeOf(setup), seconds: setupSeconds, connected },
    seconds: timeline.seconds,
    totals: { ...outcomeOf(timeline.total), operations },
    durationSeconds,
    generator: { cpuSeconds, late },
    server,
  };
}

/** What the workers count, second by second and in all. */
class Timeline {
  readonly total = new Tally();
  readonly seconds: Second[] = [];
  /** Seconds that not all workers have told of yet. */
  private wake = () => {};
  private readonly open = new Map<number, { tally: Tally; connected: number; missing: number }>();

  constructor(
    private readonly workers: number,
    private readonly onSecond: (second: Second) => void,
  ) {}

  add({ second, connected, counts }: FromWorkerOf<'second'>): void {
    const entry = this.open.get(second) ?? { tally: new Tally(), connected: 0, missing: this.workers };
    this.open.set(second, entry);
    entry.tally.add(counts);
    entry.connected += connected;
    entry.missing -= 1;
    this.total.add(counts);
    if (entry.missing > 0) return;
    this.open.delete(second);
    const { [LATE]: _, ...operations } = entry.tally.latencies();
    const done = { ...outcomeOf(entry.tally), operations, second, connected: entry.connected };
    this.seconds.push(done);
    this.onSecond(done);
    this.wake();
  }

  /** Chat messages that are still to be received. */
  get undelivered(): number {
    return this.total.counted(DELIVERIES_DUE) - this.total.countOf(DELIVERY);
  }

  /** Waits until none is, or until it has taken too long. */
  async allDelivered(timeoutMs: number): Promise<void> {
    const deadlineMs = nowMs() + timeoutMs;
    while (this.total.counted(DELIVERIES_DUE) > 0 && nowMs() < deadlineMs) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      if (this.undelivered <= 0) return;
    }
  }

  /** What came after the last whole second. */
  addRest(counts: FromWorkerOf<'left'>['counts']): void {
    this.total.add(counts);
  }
}

function outcomeOf(tally: Tally): Outcome {
  return { operations: tally.latencies(), errors: tally.errors(), counters: tally.counters() };
}

type FromWorkerOf<T extends FromWorker['type']> = Extract<FromWorker, { type: T }>;

/** A worker process. */
class Worker {
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
