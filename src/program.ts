import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { Command, InvalidArgumentError } from 'commander';
import { pino } from 'pino';
import { clusterCommand } from './commands/cluster.js';
import type { PrintEventsRequest } from './commands/events.js';
import { loadCommand } from './commands/load.js';
import { serveCommand } from './commands/serve.js';
import { BadConfig, type Config, defaultRedis, readConfig } from './config/config.js';
import { type Deployment, openDeployment } from './deployment.js';
import { Followers } from './log/followers.js';
import { serializers } from './logger.js';
import type { Operator } from './operator/operator.js';
import { Unavailable } from './redis/unavailable.js';

/** How long a tool waits for Redis, in ms. */
const PATIENCE_MS = 5000;

const EXIT_FAILED = 1;
const EXIT_BAD_CONFIG = 2;

const program = new Command('openchamp')
  .description(
    'A session server for games: WebSocket gateway nodes on Redis, with every change of a session in a log.',
  )
  .version(
    (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string })
      .version,
  )
  .addHelpText(
    'after',
    `
Settings come from environment variables, all of them listed in docs/operations.md. Where Redis is: REDIS_URL,
REDIS_SENTINELS with REDIS_MASTER, or REDIS_CLUSTER; without them, the embedded Redis of \`start\` on this machine if it
runs, or port 6379.`,
  );

program
  .command('start')
  .description('run everything in one process, with an embedded Redis that keeps its data under DATA_DIR')
  .action(() => runNode('start'));

program.addCommand(serveCommand(() => runNode('serve')));

program
  .command('work')
  .description('run a worker: sessions of lost nodes, sessions that run out, jobs; any number of them')
  .action(() => runNode('work'));

program
  .command('events')
  .description('print the event log, one CloudEvent a line (NDJSON)')
  .option('--follow', 'go on with what is recorded from now on')
  .option('--type <type>', 'only events of this type, such as session.logged_out')
  .option('--subject <id>', 'only events of this session or account')
  .option(
    '--since <when>',
    'only what came later: a time (ISO 8601), an age (15m, 2h, 3d) or the id of an event',
  )
  .option(
    '--as <name>',
    'as a follower of this name: begin where it has come to, and note how far it comes',
    followerName,
  )
  .option('--forget <name>', 'print nothing, and forget how far this follower has come', followerName)
  .action((options: PrintEventsRequest['options'] & { forget?: string }) =>
    withDeployment(async (deployment) => {
      const { redis, keys, connect } = deployment;
      if (options.forget !== undefined) {
        const isForgotten = await new Followers(redis, keys).forget(options.forget);
        if (!isForgotten) throw new Error(`There is no follower ${options.forget}.`);
        return 0;
      }
      const { printEvents } = await import('./commands/events.js');
      const stop = new AbortController();
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
      const warn = (sentence: string) => process.stderr.write(`${sentence}\n`);
      await printEvents({ redis, keys, connect, options, out: process.stdout, warn, signal: stop.signal });
      return 0;
    }),
  );

program
  .command('verify')
  .description('replay the event log and compare it with the live state; exit code 1 if they differ')
  .action(() =>
    withDeployment(async ({ redis, keys }) => {
      const { verifyDeployment } = await import('./commands/verify.js');
      return verifyDeployment({ redis, keys, print });
    }),
  );

program
  .command('sessions')
  .description('list the live sessions, of one account or of all')
  .argument('[username]')
  .action((username: string | undefined) =>
    withDeployment(async (deployment) => {
      const { listSessions } = await import('./commands/sessions.js');
      await listSessions(deployment, username, print);
      return 0;
    }),
  );

program
  .command('logout')
  .description('end a session, or all sessions of an account, on whichever node they are')
  .argument('<username|session>')
  .option('--revoke-tokens', 'revoke all tokens of the account, too, which ends all of its sessions')
  .option('--by <name>', 'who does it, for the log (default: the user of the system)')
  .action((target: string, options: { revokeTokens?: boolean; by?: string }) =>
    withOperator(async (operator, deployment) => {
      const { logOut } = await import('./commands/logout.js');
      const request = {
        target,
        revokeTokens: options.revokeTokens ?? false,
        actor: options.by ?? userName(),
      };
      await logOut(deployment, operator, request, print);
    }),
  );

program
  .command('disable')
  .description('shut an account: its tokens are revoked, its sessions end, nobody can log in to it')
  .argument('<username>')
  .option('--by <name>', 'who does it, for the log (default: the user of the system)')
  .action((username: string, options: { by?: string }) =>
    withOperator(async (operator) => {
      const { disable } = await import('./commands/logout.js');
      await disable(operator, username, options.by ?? userName(), print);
    }),
  );

program
  .command('enable')
  .description('open a disabled account again')
  .argument('<username>')
  .option('--by <name>', 'who does it, for the log (default: the user of the system)')
  .action((username: string, options: { by?: string }) =>
    withOperator(async (operator) => {
      const { enable } = await import('./commands/logout.js');
      await enable(operator, username, options.by ?? userName(), print);
    }),
  );

program
  .command('seed')
  .description('make accounts with a token each, for tests and demos; they all have the same password')
  .requiredOption('--users <n>', 'how many', wholeNumber)
  .requiredOption('--out <file>', 'where to write the lines username<TAB>token')
  .option('--prefix <text>', 'what the usernames begin with', 'player')
  .option('--password <text>', 'the password', 'openchamp')
  .action((options: { users: number; out: string; prefix: string; password: string }) =>
    withDeployment(
      async (deployment, config) => {
        const { seed } = await import('./commands/seed.js');
        const created = await seed(deployment, {
          ...options,
          tokenTtlMs: config.TOKEN_TTL_SECONDS * 1000,
          tokensPerAccount: config.TOKENS_PER_ACCOUNT,
        });
        print(
          `${created} accounts made, ${options.users - created} were there; tokens of all ${options.users} in ${options.out}`,
        );
        return 0;
      },
      { decidesPartitions: true },
    ),
  );

program.addCommand(clusterCommand());

program.addCommand(loadCommand());

await program.parseAsync().catch(fail);

async function runNode(role: 'start' | 'serve' | 'work'): Promise<void> {
  const config = readConfig();
  const { run } = await import('./commands/run.js');
  process.exit(await run(role, config));
}

/**
 * Runs a tool on a deployment; it answers with the exit code.
 * @param decidesPartitions for a tool that may be the first to write
 */
async function withDeployment(
  tool: (deployment: Deployment, config: Config, logger: pino.Logger) => Promise<number>,
  { decidesPartitions = false } = {},
): Promise<void> {
  const config = readConfig();
  const logger = pino({ level: 'error', serializers }, pino.destination(2));
  const deployment = await openDeployment({
    config,
    target: config.redis ?? defaultRedis(config),
    logger,
    patienceMs: PATIENCE_MS,
    decidesPartitions,
  });
  try {
    process.exitCode = await tool(deployment, config, logger);
  } finally {
    deployment.close();
  }
}

/** Runs what an operator does on a deployment. */
async function withOperator(
  tool: (operator: Operator, deployment: Deployment) => Promise<void>,
): Promise<void> {
  const { Publisher } = await import('./bus/publisher.js');
  const { Operator } = await import('./operator/operator.js');
  await withDeployment(async (deployment, config, logger) => {
    const publisher = new Publisher(deployment.redis, deployment.keys, logger);
    try {
      await tool(new Operator(deployment, publisher, config.COMMIT_TIMEOUT_MS), deployment);
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      throw new Error('Redis is away, or records nothing now; it may or may not have been done.', {
        cause: error,
      });
    }
    return 0;
  });
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** In a container, the user may have a number and no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.()}`;
  }
}

function followerName(text: string): string {
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(text)) {
    throw new InvalidArgumentError('It may have up to 64 letters, digits, and . _ -');
  }
  return text;
}

function wholeNumber(text: string): number {
  if (!/^[1-9][0-9]{0,8}$/.test(text)) throw new InvalidArgumentError('It must be a whole number from 1.');
  return Number(text);
}

/** One line says what is wrong; the causes are for those who debug. */
function fail(error: unknown): never {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(error instanceof BadConfig ? EXIT_BAD_CONFIG : EXIT_FAILED);
}
