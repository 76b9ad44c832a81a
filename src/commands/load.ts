import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Command, InvalidArgumentError } from 'commander';
import { BadConfig } from '../config/config.js';
import { readAccounts } from '../load/accounts.js';
import type { Plan } from '../load/plan.js';
import { isScenario, SCENARIOS } from '../load/scenarios/scenarios.js';

interface LoadOptions {
  readonly target: string[];
  readonly accounts: string;
  readonly clients: number;
  readonly rate?: number;
  readonly duration: number;
  readonly connectRate?: number;
  readonly workers?: number;
  readonly timeout: number;
  readonly insecureTls?: boolean;
  readonly password: string;
  readonly senders?: number;
  readonly every: number;
  readonly json?: string;
}

/** The command `load`. */
export function loadCommand(): Command {
  return new Command('load')
    .description(
      'test a deployment under load: many clients of a kind, and how long the server lets them wait',
    )
    .argument('<scenario>')
    .option('--target <urls>', 'where the server is', listOf, ['ws://127.0.0.1:8080/ws'])
    .option('--accounts <file>', 'accounts, as `openchamp seed` writes them', 'tokens.tsv')
    .option('--clients <n>', 'how many', wholeNumber, 100)
    .option('--rate <n>', 'operations a second', positiveNumber)
    .option('--duration <seconds>', 'how long', positiveNumber, 10)
    .option('--connect-rate <n>', 'new connections a second', positiveNumber)
    .option('--workers <n>', 'worker processes', wholeNumber)
    .option('--timeout <seconds>', 'how long an answer may take', positiveNumber, 10)
    .option('--insecure-tls', 'take any certificate')
    .option('--password <text>', 'the password of the accounts', 'openchamp')
    .option('--senders <n>', 'clients that send', wholeNumber)
    .option('--every <seconds>', 'between waves', positiveNumber, 5)
    .option('--json <file>', 'where to write the result')
    .action(async (scenario: string, options: LoadOptions) => {
      process.exitCode = await load(scenario, options);
    });
}

function listOf(text: string): string[] {
  return text.split(',');
}

function wholeNumber(text: string): number {
  if (!/^[1-9][0-9]{0,8}$/.test(text)) throw new InvalidArgumentError('It must be a whole number from 1.');
  return Number(text);
}

function positiveNumber(text: string): number {
  const value = Number(text);
  if (!/^[0-9.]+$/.test(text) || !(value > 0)) throw new InvalidArgumentError('It must be a number above 0.');
  return value;
}

/** Runs a load test and prints what came out. @returns the exit code @throws BadConfig, RunFailed */
export async function load(scenario: string, options: LoadOptions): Promise<number> {
  if (!isScenario(scenario)) {
    throw new BadConfig(
      `There is no scenario ${JSON.stringify(scenario)}; there are ${Object.keys(SCENARIOS).join(', ')}.`,
    );
  }
  const plan: Plan = {
    scenario,
    targets: options.target,
    clients: options.clients,
    rate: options.rate ?? null,
    durationMs: options.duration * 1000,
    connectRate: options.connectRate ?? null,
    workers: Math.min(options.workers ?? Math.max(1, availableParallelism() >> 1), options.clients),
    sources: [],
    timeoutMs: options.timeout * 1000,
    insecureTls: options.insecureTls ?? false,
    password: options.password,
    senders: options.senders ?? options.clients,
    everyMs: options.every * 1000,
  };
  const accounts = readAccounts(options.accounts, plan.clients);
  const { runPlan } = await import('../load/run.js');
  const result = await runPlan(plan, accounts, {
    connected: (clients, seconds) => console.error(`${clients} connected in ${seconds.toFixed(1)} s`),
    second: ({ second, operations, errors }) =>
      console.error(second, JSON.stringify(operations), JSON.stringify(errors)),
  });
  if (options.json) writeFileSync(options.json, `${JSON.stringify({ options: plan, ...result }, null, 2)}\n`);
  console.log(JSON.stringify(result.totals, null, 1), result.generator);
  const failures = [result.setup, result.totals].some(({ errors }) => Object.keys(errors).length > 0);
  return failures ? 1 : 0;
}
