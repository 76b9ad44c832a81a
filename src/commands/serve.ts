import { availableParallelism } from 'node:os';
import { Command, InvalidArgumentError } from 'commander';
import { BadConfig, type Config, checkTls, readConfig } from '../config/config.js';
import { createLogger } from '../logger.js';
import { Gateways } from '../supervisor/gateways.js';
import { reachable } from './banner.js';
import { untilToldToEnd } from './signals.js';

const EXIT_NOT_RECORDED = 3;
const LARGEST_PORT = 65_535;

/** The command `serve`. @param serveAlone runs a single gateway in this process */
export function serveCommand(serveAlone: () => Promise<void>): Command {
  return new Command('serve')
    .description('run a gateway node: clients on HOST:PORT, operators on ADMIN_HOST:ADMIN_PORT')
    .option(
      '--workers <n>',
      'run so many gateways on one port, each a process of its own; `auto`: one for each core (Linux only)',
      processes,
    )
    .addHelpText(
      'after',
      `
With --workers, the system spreads connections over the processes, operators find the first on ADMIN_PORT and the others on
the ports after it, and a process that ends is started again. SIGTERM or Ctrl-C ends all, in order; a second one at once.`,
    )
    .action(async ({ workers }: { workers?: number }) => {
      if (workers === undefined) await serveAlone();
      else process.exit(await serveTogether(workers));
    });
}

/** Runs until it is told to end. @returns the exit code: 0, or 3 if something could not be recorded any more */
async function serveTogether(count: number): Promise<number> {
  const config = readConfig();
  check(config, count);
  const logger = createLogger(config.LOG_LEVEL).child({ node: 'supervisor' });
  const ending = untilToldToEnd();
  const adminUrl = (port: number) => `http://${reachable(config.ADMIN_HOST)}:${port}`;
  const gateways = await Gateways.prepare({ config, count, adminUrl, logger });
  try {
    const started = gateways.start().then(() => {
      logger.info({ port: config.PORT, adminPorts: gateways.adminPorts }, 'every gateway is ready');
    });
    await Promise.race([started, ending]);
  } catch (error) {
    await gateways.stop();
    throw error;
  }
  logger.info({ reason: await ending }, 'going away');
  return (await gateways.stop()) ? 0 : EXIT_NOT_RECORDED;
}

/** @throws BadConfig for what several gateways on one port can't do with */
function check(config: Config, count: number): void {
  const { PORT, ADMIN_PORT } = config;
  const lastAdminPort = ADMIN_PORT + count - 1;
  if (process.platform !== 'linux') throw new BadConfig('`serve --workers` needs Linux.');
  if (PORT === 0) throw new BadConfig('PORT is 0; `serve --workers` needs a certain one.');
  if (ADMIN_PORT === 0) throw new BadConfig('ADMIN_PORT is 0; `serve --workers` needs a certain one.');
  if (lastAdminPort > LARGEST_PORT || (PORT >= ADMIN_PORT && PORT <= lastAdminPort)) {
    throw new BadConfig(
      `ADMIN_PORT is ${ADMIN_PORT}; \`serve --workers ${count}\` needs the ports ${ADMIN_PORT} to ${lastAdminPort} for operators, without PORT (${PORT}) among them.`,
    );
  }
  checkTls(config);
}

function processes(text: string): number {
  if (text === 'auto') return availableParallelism();
  if (!/^[1-9][0-9]{0,2}$/.test(text)) {
    throw new InvalidArgumentError('It must be a whole number from 1 to 999, or `auto`.');
  }
  return Number(text);
}
