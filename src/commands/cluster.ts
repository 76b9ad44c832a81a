import { Command, InvalidArgumentError } from 'commander';
import { BadConfig, type Config, readConfig } from '../config/config.js';
import { createLogger } from '../logger.js';
import { LocalCluster } from '../supervisor/cluster.js';
import { reachable } from './banner.js';
import { untilToldToEnd } from './signals.js';

interface Options {
  readonly nodes: number;
  readonly workers: number;
  readonly partitions?: number;
}

const EXIT_NOT_RECORDED = 3;

/** The command `cluster`. */
export function clusterCommand(): Command {
  return new Command('cluster')
    .description('run a whole cluster on this machine: Redis, gateways, workers, and HAProxy on HOST:PORT')
    .option('--nodes <n>', 'gateways', wholeNumber, 2)
    .option('--workers <n>', 'workers', wholeNumber, 1)
    .option(
      '--partitions <n>',
      'partitions of the log, as PARTITIONS; fixed by the first start on new data',
      wholeNumber,
    )
    .addHelpText(
      'after',
      `
Each of them is a process of its own, started again when it ends. Redis keeps its data under DATA_DIR; settings are for
all nodes. SIGTERM or Ctrl-C ends all, in order; a second one at once. SIGUSR2 replaces gateways and workers, one
after the other, without losing a session.`,
    )
    .action(async (options: Options) => process.exit(await cluster(options)));
}

/** Runs until it is told to end. @returns the exit code: 0, or 3 if something could not be recorded any more */
async function cluster({ nodes, workers, partitions }: Options): Promise<number> {
  const config = clusterConfig(partitions);
  const logger = createLogger(config.LOG_LEVEL).child({ node: 'cluster' });
  const giveUp = new AbortController();
  const ending = untilToldToEnd().then((reason) => {
    giveUp.abort();
    return reason;
  });
  const starting = LocalCluster.start({ config, nodes, workers, logger }, giveUp.signal);
  const replace = (cluster: LocalCluster) => cluster.rollingRestart(logger);
  process.on('SIGUSR2', () => void starting.then(replace, () => {})); // one that can't start has nothing to replace
  const running = await starting.catch((error: unknown) => {
    if (!giveUp.signal.aborted) throw error;
  });
  if (!running) return 0; // it was told to end before all was there
  logger.info({ port: config.PORT }, 'the cluster is ready');
  process.stdout.write(banner(config, running));

  logger.info({ reason: await ending }, 'going away');
  const isRecorded = await running.stop();
  return isRecorded ? 0 : EXIT_NOT_RECORDED;
}

function clusterConfig(partitions: number | undefined): Config {
  const { environment } = readConfig();
  const config = readConfig({ ...environment, ...(partitions && { PARTITIONS: `${partitions}` }) });
  if (config.redis) throw new BadConfig('`cluster` brings its own Redis; unset the REDIS_* variables.');
  if (config.tls) throw new BadConfig('`cluster` serves without TLS; unset TLS_CERT_FILE and TLS_KEY_FILE.');
  if (config.PORT === 0) throw new BadConfig('PORT is 0; `cluster` needs a certain one.');
  return config;
}

function banner({ HOST, PORT, DATA_DIR }: Config, cluster: LocalCluster): string {
  const row = (name: string, text: string) => `    ${name.padEnd(15)}${text}\n`;
  const rows = [
    row('game clients', `ws://${reachable(HOST)}:${PORT}/ws   (HAProxy; ${cluster.proxyUrl}/metrics)`),
    ...cluster.gatewayPorts.map(({ name, port, adminPort }) =>
      row(name, `ws://127.0.0.1:${port}/ws   http://127.0.0.1:${adminPort}/readyz`),
    ),
    ...cluster.workerPorts.map((port, i) => row(`worker-${i + 1}`, `http://127.0.0.1:${port}/readyz`)),
    row('data', `${DATA_DIR}/ (Ctrl-C ends it all; the data stay)`),
  ];
  return `
  The cluster is running.

${rows.join('')}
  In another terminal:

    kill -USR2 ${process.pid}                  replace gateways and workers, one after the other
    node dist/cli.js sessions          who is there, and on which gateway
    node dist/cli.js --help            everything else

`;
}

function wholeNumber(text: string): number {
  if (!/^[1-9][0-9]{0,2}$/.test(text))
    throw new InvalidArgumentError('It must be a whole number from 1 to 999.');
  return Number(text);
}
