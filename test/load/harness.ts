import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Result } from '../../src/load/result.js';
import { CliProcess } from '../support/cliProcess.js';
import type { Fleet } from '../support/fleet.js';
import { tempDir } from '../support/guardian.js';
import { countByType } from '../support/log.js';

/** The result of a run, and its exit. */
export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** As `--json` writes it. */
  readonly result: Result;
}

/** Runs load tests with accounts of a fleet. */
export class LoadTool {
  private constructor(
    private readonly dir: string,
    private readonly target: string,
  ) {}

  /** @param target one URL or several */
  static async create(fleet: Fleet, users: number, target: string): Promise<LoadTool> {
    const dir = tempDir();
    const accounts = await fleet.seed(users);
    const lines = accounts.map(({ username, token }) => `${username}\t${token}\n`);
    await writeFile(join(dir, 'tokens.tsv'), lines.join(''));
    return new LoadTool(dir, target);
  }

  /** Where a file of that name is. */
  file(name: string): string {
    return join(this.dir, name);
  }

  /** Starts a run; `outcome` waits for its end. */
  start(scenario: string, options: string): CliProcess {
    const files = ['--accounts', this.file('tokens.tsv'), '--json', this.file('result.json')];
    return new CliProcess(['load', scenario, '--target', this.target, ...files, ...options.split(' ')], {});
  }

  async outcome(run: CliProcess): Promise<Outcome> {
    const { code } = await run.exited;
    const { stdout, stderr } = run;
    const json = await readFile(this.file('result.json'), 'utf8').catch(() => {
      throw new Error(`the run exited with ${code}: ${stderr}${stdout}`);
    });
    return { code, stdout, stderr, result: JSON.parse(json) as Result };
  }

  /** A run from its beginning to its end. @param options such as `--clients 10 --rate 100` */
  run(scenario: string, options: string): Promise<Outcome> {
    return this.outcome(this.start(scenario, options));
  }

  /** A run that goes well. */
  async runWell(scenario: string, options: string): Promise<Result> {
    const { code, result, stdout } = await this.run(scenario, options);
    expect(result.totals.errors, stdout).toEqual({});
    expect(result.setup.errors, stdout).toEqual({});
    expect(code, stdout).toBe(0);
    return result;
  }
}

/** How often an operation was done, connecting included. */
export function doneIn({ setup, totals }: Result, ...operations: string[]): number {
  return operations.reduce(
    (sum, name) => sum + (setup.operations[name]?.count ?? 0) + (totals.operations[name]?.count ?? 0),
    0,
  );
}

/** How many events of each type are recorded while something is done. */
export async function recordedDuring<T>(
  fleet: Fleet,
  work: () => Promise<T>,
): Promise<{ done: T; recorded: (type: string) => number }> {
  const before = countByType(await fleet.log());
  const done = await work();
  await fleet.untilNobodyIsAttached();
  const after = countByType(await fleet.log());
  return { done, recorded: (type) => (after[type] ?? 0) - (before[type] ?? 0) };
}
