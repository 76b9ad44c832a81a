import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Result } from '../src/load/result.js';
import type { Latencies } from '../src/load/tally.js';
import type { Processes } from './processes.js';

/** How long cycles of `token_auth` and `logout` take at a rate, in ms, from when they were due. */
export interface RateLatencies {
  /** Cycles a second. */
  readonly rate: number;
  readonly cycle: Latencies;
  /** How late they were begun, which is part of it. */
  readonly late: Latencies | null;
  readonly errors: Readonly<Record<string, number>>;
}

/** Plays cycles at a rate by `openchamp load`. @throws Error when nothing came of it */
export async function latenciesAt(
  processes: Processes,
  { rate, seconds, url, clients }: { rate: number; seconds: number; url: string; clients: number },
): Promise<RateLatencies> {
  const file = join(processes.dir, 'load.json');
  const options = { target: url, accounts: processes.tokens, clients, rate, duration: seconds, json: file };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  await processes.cli('load', 'logout', '--allow-errors', ...args);
  const { totals, generator } = JSON.parse(readFileSync(file, 'utf8')) as Result;
  return { rate, cycle: totals.operations.cycle!, late: generator.late, errors: totals.errors };
}
