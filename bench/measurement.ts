/** When something is measured: for so long, after it has run for some time. */
export interface Window {
  readonly warmUpMs: number;
  readonly durationMs: number;
}

/** What a process that makes load tells. */
export type Report =
  /** The measured time begins. */
  | { readonly type: 'begin' }
  /** It is over: how often what it counts has happened, and the CPU that the process itself has used. */
  | { readonly type: 'end'; readonly count: number; readonly seconds: number; readonly cpuSeconds: number }
  | { readonly type: 'failed'; readonly reason: string };

/**
 * Runs the task that this process is sent, and tells when it has failed. The process ends when it is done, and with its
 * parent.
 */
export function onTask<T>(run: (task: T) => Promise<void>): void {
  process.once('disconnect', () => process.exit());
  process.once('message', (task: T) => {
    run(task).then(
      () => process.disconnect(),
      (error: unknown) => failed(error instanceof Error ? error.message : String(error)),
    );
  });
}

/** Gives up. */
export function failed(reason: string): void {
  process.send!({ type: 'failed', reason } satisfies Report, () => process.exit(1));
}

/** Tells how much a counter grows during the window. */
export async function measure(count: () => number, { warmUpMs, durationMs }: Window): Promise<void> {
  await sleep(warmUpMs);
  tell({ type: 'begin' });
  const [countBefore, cpuBefore, beginMs] = [count(), process.cpuUsage(), performance.now()];
  await sleep(durationMs);
  const { user, system } = process.cpuUsage(cpuBefore);
  tell({
    type: 'end',
    count: count() - countBefore,
    seconds: (performance.now() - beginMs) / 1000,
    cpuSeconds: (user + system) / 1e6,
  });
}

function tell(report: Report): void {
  process.send!(report);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
