import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { BadConfig } from '../config/config.js';
import { type Account, readAccounts } from '../load/accounts.js';
import { defaultSources, defaultWorkers, isLoopback, parseSources } from '../load/machine.js';
import type { Plan } from '../load/plan.js';
import type { Result } from '../load/result.js';
import { SCENARIOS, type ScenarioName } from '../load/scenarios/scenarios.js';

interface LoadOptions {
  readonly target: string[];
  readonly accounts: string;
  readonly password: string;
  readonly clients: number;
  readonly duration: number;
  readonly rate?: number;
  readonly every: number;
  readonly senders?: number;
  readonly away?: number;
  readonly connectRate?: number;
  readonly timeout: number;
  readonly workers?: number;
  readonly source?: string[];
  readonly metrics?: string[];
  readonly json?: string;
  readonly html?: string;
  readonly allowErrors?: boolean;
  readonly allowRemote?: boolean;
  readonly insecureTls?: boolean;
}

const DEFAULT_TARGET = 'ws://127.0.0.1:8080/ws';

const EXIT_ERRORS = 1;
const EXIT_BAD_OPTIONS = 2;

/** The command `load`. */
export function loadCommand(): Command {
  return new Command('load')
    .description('test a deployment under load: many clients, and how long the server lets them wait')
    .addArgument(new Argument('<scenario>', 'what the clients do').choices(Object.keys(SCENARIOS)))
    .addOption(
      new Option(
        '--target <urls>',
        'where the server is; clients are spread over several, and turn to another one when theirs fails',
      )
        .argParser(urls(['ws:', 'wss:']))
        .default([DEFAULT_TARGET], DEFAULT_TARGET),
    )
    .option('--accounts <file>', 'accounts for the clients, as `openchamp seed` writes them', 'tokens.tsv')
    .option('--password <text>', 'the password of the accounts', 'openchamp')
    .option('--clients <n>', 'how many there are', wholeNumber, 100)
    .option('--duration <seconds>', 'how long the run takes, after all have connected', positive, 10)
    .option('--rate <n>', 'operations a second, all clients together (default: as fast as it goes)', positive)
    .option('--every <seconds>', 'reconnect: time from one wave to the next', positive, 5)
    .option('--senders <n>', 'chat: clients that send (default: one for each message a second)', wholeNumber)
    .option(
      '--away <seconds>',
      'idle, and who only listens in chat: time until a client comes back that has lost its connection, without asking ' +
        'to resume (default: at once, and it asks)',
      positive,
    )
    .option('--connect-rate <n>', 'new connections a second at the beginning (default: no limit)', positive)
    .option('--timeout <seconds>', 'how long an answer may take before it is an error', positive, 10)
    .option(
      '--workers <n>',
      'worker processes (default: half of the cores, or as open files ask for)',
      wholeNumber,
    )
    .option('--source <addresses>', 'addresses to connect from, such as 127.0.0.2-127.0.0.5', sources)
    .option(
      '--metrics <urls>',
      'where the Prometheus metrics of the nodes are, read once a second',
      urls(['http:']),
    )
    .option('--json <file>', 'write the whole result to a file')
    .option('--html <file>', 'write a report with charts to a file')
    .option('--allow-errors', 'exit with 0 in spite of errors')
    .option('--allow-remote', 'allow targets that are not on this machine')
    .option('--insecure-tls', 'take any certificate (wss://)')
    .addHelpText('after', HELP)
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : EXIT_BAD_OPTIONS))
    .action(async (scenario: ScenarioName, options: LoadOptions) => {
      process.exitCode = await load(scenario, options);
    });
}

const HELP = `
Scenarios:
${Object.entries(SCENARIOS)
  .map(([name, { description }]) => `  ${name.padEnd(10)} ${description}`)
  .join('\n')}

With --rate, operations are due at fixed times, and latencies are counted from then, whether or not a client was free.
Without it, each client goes on when it has its answer, and latencies are queueing. The exit code is 0 if something
was done without errors, 1 if there were errors, 2 if the options are bad.

The server limits what a player may do, and all clients come from few addresses: for a test without limits, start it
with MESSAGE_RATE=0 CHAT_RATE=0 LOGIN_ATTEMPTS=0 LOGIN_ATTEMPTS_PER_ADDRESS=0. Logins by password (login, mixed) make
new tokens; after TOKENS_PER_ACCOUNT of them the one in the file is revoked, so seed again.

Examples:
  openchamp seed --users 20000 --out tokens.tsv
  openchamp load logout --clients 1000 --rate 2000 --duration 30
  openchamp load logout --clients 200 --metrics http://127.0.0.1:8081/metrics --html report.html
  openchamp load idle --clients 20000 --connect-rate 2000 --duration 60
  openchamp load chat --clients 1000 --rate 5 --json chat.json
  openchamp load reconnect --clients 5000 --every 10 --duration 60
  openchamp load mixed --target ws://127.0.0.1:8080/ws,ws://127.0.0.1:8082/ws --clients 2000 --rate 1000
`;

/**
 * Runs a load test and prints what came out.
 * @returns the exit code
 * @throws BadConfig when the options don't go together; RunFailed
 */
async function load(scenario: ScenarioName, options: LoadOptions): Promise<number> {
  const plan = planOf(scenario, options);
  for (const file of [options.json, options.html]) {
    if (file !== undefined) write(file, ''); // better now than after the run
  }
  const accounts = readAccounts(options.accounts, plan.clients);
  const { errorCount, isAnythingDone, summary } = await import('../load/summary.js');
  const result = await runTold(plan, accounts, options.metrics ?? []);
  process.stdout.write(summary(plan, result));
  if (options.json) write(options.json, `${JSON.stringify(publicResult(plan, result), null, 2)}\n`);
  if (options.html) {
    const { htmlReport } = await import('../load/report.js');
    write(options.html, htmlReport(plan, result));
  }
  const isGood = errorCount(result) === 0 || options.allowErrors === true;
  return isGood && isAnythingDone(plan, result) ? 0 : EXIT_ERRORS;
}

/** Runs a plan and tells on stderr how it goes. SIGINT and SIGTERM end the run before its time. @throws RunFailed */
async function runTold(
  plan: Plan,
  accounts: readonly Account[],
  metrics: readonly string[],
): Promise<Result> {
  const [{ runPlan }, { progressLine }] = await Promise.all([
    import('../load/run.js'),
    import('../load/summary.js'),
  ]);
  const interrupt = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupt.abort());
  const line = progressOn(process.stderr);
  line(`connecting ${plan.clients} clients`);
  try {
    return await runPlan({
      plan,
      accounts,
      metrics,
      signal: interrupt.signal,
      progress: {
        connecting: (clients) => line(`${clients} of ${plan.clients} clients connected`),
        connected: (clients, seconds) => line(`${clients} clients connected in ${seconds.toFixed(1)} s`),
        second: (second) => line(progressLine(plan, second)),
      },
    });
  } finally {
    line('');
  }
}

/** What is told to others: all but the password. */
function publicResult({ password: _, ...options }: Plan, result: Result) {
  return { options, ...result };
}

/** Writes a file. @throws BadConfig */
function write(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new BadConfig(`${file} cannot be written: ${(error as Error).message}.`);
  }
}

/** Writes lines, in a terminal one over the other. An empty line ends that. */
function progressOn(stream: NodeJS.WriteStream): (line: string) => void {
  if (stream.isTTY) return (line) => stream.write(`\r\x1b[2K${line.slice(0, (stream.columns || 80) - 1)}`);
  return (line) => line !== '' && stream.write(`${line}\n`);
}

function planOf(scenario: ScenarioName, options: LoadOptions): Plan {
  const { clients, rate = null, senders } = options;
  const { pace } = SCENARIOS[scenario];
  if (!options.allowRemote) {
    const remote = [...options.target, ...(options.metrics ?? [])].find(
      (url) => !isLoopback(new URL(url).hostname),
    );
    if (remote) throw new BadConfig(`${remote} is not on this machine; --allow-remote allows it.`);
  }
  if (pace === 'none' && rate !== null)
    throw new BadConfig(`${scenario} does no operations, so --rate means nothing.`);
  if (senders !== undefined && senders > clients) {
    throw new BadConfig(`--senders is ${senders}, but there are ${clients} clients only.`);
  }
  return {
    scenario,
    targets: options.target,
    clients,
    rate,
    durationMs: options.duration * 1000,
    connectRate: options.connectRate ?? null,
    workers: Math.min(clients, options.workers ?? defaultWorkers(clients)),
    sources: options.source ?? defaultSources(clients, options.target),
    timeoutMs: options.timeout * 1000,
    insecureTls: options.insecureTls ?? false,
    run: randomBytes(4).toString('hex'),
    password: options.password,
    senders: senders ?? Math.min(clients, Math.ceil(rate ?? clients)),
    everyMs: options.every * 1000,
    awayMs: options.away === undefined ? null : options.away * 1000,
  };
}

function urls(protocols: readonly string[]): (list: string) => string[] {
  return (list) =>
    list.split(',').map((text) => {
      const url = URL.canParse(text) ? new URL(text) : null;
      if (!url || !protocols.includes(url.protocol)) {
        throw new InvalidArgumentError(`Each must be a URL that begins with ${protocols.join('// or ')}//.`);
      }
      return text;
    });
}

function sources(list: string): string[] {
  const addresses = parseSources(list);
  if (!addresses?.every(isIPv4))
    throw new InvalidArgumentError('They must be like 127.0.0.2 or 127.0.0.2-127.0.0.5.');
  return addresses;
}

function wholeNumber(text: string): number {
  if (!/^[1-9][0-9]{0,5}$/.test(text))
    throw new InvalidArgumentError('It must be a whole number from 1 to 999999.');
  return Number(text);
}

function positive(text: string): number {
  const value = Number(text);
  if (!/^[0-9.]+$/.test(text) || !(value > 0)) throw new InvalidArgumentError('It must be a number above 0.');
  return value;
}
