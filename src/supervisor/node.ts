import { fileURLToPath } from 'node:url';
import { type Running, startChild } from './child.js';
import { untilReady } from './ready.js';

export interface NodeOptions {
  readonly command: 'serve' | 'work';
  /** What it is called where it is started. */
  readonly name: string;
  readonly environment: NodeJS.ProcessEnv;
  /** Where it serves operators, without a slash at the end. */
  readonly adminUrl: string;
  readonly drainSeconds: number;
}

const CLI = fileURLToPath(new URL('../cli.js', import.meta.url));

/** As `npm start` and the image have it: with less, what is in flight under load is copied again and again. */
const NODE_FLAGS = ['--max-semi-space-size=64'];

/** Beyond DRAIN_SECONDS, until a node that was told to end is killed, in ms. */
const GRACE_MS = 10_000;

/**
 * Starts a node as a process of its own, and waits until it is ready.
 * @throws Error with one clear sentence when it ends before, or `signal` gives it up; it has ended then
 */
export async function launchNode(options: NodeOptions, signal: AbortSignal): Promise<Running> {
  const { command, name, environment, adminUrl, drainSeconds } = options;
  const node = await startChild({
    command: [process.execPath, ...NODE_FLAGS, ...process.execArgv, CLI, command],
    environment,
    graceMs: drainSeconds * 1000 + GRACE_MS,
  });
  await untilReady(name, node, `${adminUrl}/readyz`, signal);
  return node;
}
