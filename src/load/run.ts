import type { Account } from './accounts.js';
import { nowMs } from './clock.js';
import { Observer } from './metrics.js';
import { LATE, type Plan, type ToWorker } from './plan.js';
import type { Result, Second } from './result.js';
import { DELIVERY } from './scenarios/chat.js';
import { Tally } from './tally.js';
import { outcomeOf, Timeline } from './timeline.js';
import { RunFailed, WorkerProcess } from './workerProcess.js';

/** What is told while a run goes on. */
export interface Progress {
  /** So many clients have connected so far. */
  connecting(clients: number): void;
  /** All have connected that will. */
  connected(clients: number, seconds: number): void;
  second(second: Second): void;
}

/** What a run needs. */
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

/** Time for all workers to hear that it begins, in ms. */
const HEAD_START_MS = 100;

/**
 * Runs a plan in worker processes: they connect, play until the end, and leave.
 * @throws RunFailed when no client could connect, the metrics can't be read, or a worker ended before its time
 */
export async function runPlan(request: RunRequest): Promise<Result> {
  const observers = await observersOf(request.metrics);
  const workers = Array.from({ length: request.plan.workers }, (_, number) => new WorkerProcess(number));
  const stop = () => tellAll(workers, { type: 'stop' });
  request.signal.addEventListener('abort', stop, { once: true });
  try {
    const setup = await connect(request, workers);
    const run = await perform(request, workers, observers, setup.connected);
    return { setup, ...run };
  } finally {
    request.signal.removeEventListener('abort', stop);
    for (const worker of workers) worker.kill();
  }
}

function tellAll(workers: readonly WorkerProcess[], message: ToWorker): void {
  for (const worker of workers) worker.tell(message);
}

async function observersOf(urls: readonly string[]): Promise<Observer[]> {
  const observers = urls.map((url) => new Observer(url));
  for (const observer of observers) {
    const problem = await observer.problem();
    if (problem) throw new RunFailed(`The metrics of ${observer.url} cannot be read: ${problem}.`);
  }
  return observers;
}

/** All clients connect, or as many as can until the run is to end. */
async function connect(
  { plan, accounts, progress, signal }: RunRequest,
  workers: readonly WorkerProcess[],
): Promise<Result['setup']> {
  const soFar = workers.map(() => 0);
  for (const worker of workers) {
    worker.onConnecting = (clients) => {
      soFar[worker.number] = clients;
      progress.connecting(soFar.reduce((sum, some) => sum + some, 0));
    };
    const own = accounts.filter((_, i) => i % plan.workers === worker.number);
    worker.tell({ type: 'plan', plan: { ...plan, worker: worker.number, accounts: own } });
  }
  const tally = new Tally();
  const all = await Promise.all(workers.map((worker) => worker.told('ready')));
  for (const { counts } of all) tally.add(counts);
  const connected = all.reduce((sum, ready) => sum + ready.connected, 0);
  const [fromMs, untilMs] = [all.map((ready) => ready.fromMs), all.map((ready) => ready.untilMs)];
  const seconds = (Math.max(...untilMs) - Math.min(...fromMs)) / 1000;
  if (connected === 0) {
    if (signal.aborted) throw new RunFailed('The run was ended before any client had connected.');
    throw new RunFailed(`No client could connect: ${Object.keys(tally.errors()).join('; ')}.`);
  }
  progress.connected(connected, seconds);
  return { ...outcomeOf(tally), seconds, connected };
}

/** All play, and leave. */
async function perform(
  { plan, progress }: RunRequest,
  workers: readonly WorkerProcess[],
  observers: readonly Observer[],
  connected: number,
): Promise<Omit<Result, 'setup'>> {
  const timeline = new Timeline(workers.length, (second) => progress.second(second));
  for (const worker of workers) worker.onSecond = (message) => timeline.add(message);
  const startedAt = new Date(Date.now() + HEAD_START_MS).toISOString();
  const beginMs = nowMs() + HEAD_START_MS;
  for (const observer of observers) observer.begin(beginMs);
  tellAll(workers, { type: 'begin', atMs: beginMs, listeners: connected });

  await Promise.all(workers.map((worker) => worker.told('idle')));
  const durationSeconds = (nowMs() - beginMs) / 1000;
  await timeline.allDelivered(plan.timeoutMs);
  const server = await Promise.all(observers.map((observer) => observer.end()));
  tellAll(workers, { type: 'end' });
  let cpuSeconds = 0;
  for (const left of await Promise.all(workers.map((worker) => worker.told('left')))) {
    cpuSeconds += left.usage.cpuSeconds;
    timeline.addRest(left.counts);
  }
  await Promise.all(workers.map((worker) => worker.ended));
  const { total, undelivered, seconds } = timeline;
  if (undelivered > 0) total.failed(`${DELIVERY}: not received`, undelivered);

  const { [LATE]: late = null, ...operations } = total.latencies();
  const { [LATE]: _, ...histograms } = total.encoded();
  const totals = { ...outcomeOf(total), operations, histograms };
  return { startedAt, seconds, totals, durationSeconds, generator: { cpuSeconds, late }, server };
}
