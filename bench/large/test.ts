import { setTimeout as delay } from 'node:timers/promises';
import type { LoadMaker } from '../loadMaker.js';
import type { Gateway, Processes, RedisServer, Settings } from '../processes.js';
import type { Finding } from './finding.js';

/** How large, and how long. */
export interface Size {
  readonly clients: number;
  readonly nodes: number;
  /** A second: cycles, or messages. */
  readonly rate: number;
  readonly seconds: number;
  readonly rounds: number;
}

/** What a test works with. */
export interface Stage {
  readonly processes: Processes;
  readonly redis: RedisServer;
  readonly load: LoadMaker;
  readonly size: Size;
  /** Says what is being done. */
  readonly say: (line: string) => void;
}

/** A test of a target that takes many clients, several nodes, or a long time. */
export interface LargeTest {
  readonly description: string;
  /** What the target is about. */
  readonly size: Size;
  /** @returns what is compared with the targets, and whatever else was seen */
  run(stage: Stage): Promise<{ readonly findings: readonly Finding[]; readonly seen: object }>;
}

/** Starts so many gateways. */
export function gateways(
  { processes, redis }: Pick<Stage, 'processes' | 'redis'>,
  count: number,
  settings: Settings = {},
): Promise<Gateway[]> {
  return Promise.all(Array.from({ length: count }, () => processes.gateway(redis.url, settings)));
}

/** The sum of a metric of several processes, by its name with its labels as it is shown; NaN when none of them shows it. */
export async function metric(
  nodes: readonly { readonly metricsUrl: string }[],
  name: string,
): Promise<number> {
  const texts = await Promise.all(nodes.map(async ({ metricsUrl }) => (await fetch(metricsUrl)).text()));
  const lines = texts.flatMap((text) => text.split('\n').filter((line) => line.startsWith(`${name} `)));
  if (lines.length === 0) return NaN;
  return lines.reduce((sum, line) => sum + Number(line.slice(name.length + 1)), 0);
}

/** Sessions of a gateway that are attached; those of the whole deployment that are not, of a worker. */
export const ATTACHED = 'openchamp_sessions{status="attached"}';
export const DETACHED = 'openchamp_sessions{status="detached"}';

/** Waits until something holds. @throws Error when that takes too long */
export async function until(holds: () => Promise<boolean>, what: string, timeoutMs = 120_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`Waited too long: ${what}.`);
    await delay(100);
  }
}
