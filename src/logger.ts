import { type Logger, pino, stdSerializers } from 'pino';
import pretty from 'pino-pretty';

/**
 * An error as it is logged. ioredis leaves the command in it that was refused, with all its arguments: password hashes,
 * names and addresses among them.
 */
export const serializers = {
  err(error: unknown): unknown {
    const shown: unknown = stdSerializers.err(error as Error);
    return hasCommand(shown) ? { ...shown, command: undefined } : shown;
  },
};

function hasCommand(value: unknown): value is { command: unknown } {
  return typeof value === 'object' && value !== null && 'command' in value;
}

/** Makes the logger of a process: one JSON object a line, or coloured lines in a terminal. Errors keep their causes. */
export function createLogger(level: string): Logger {
  const options = { level, base: null, serializers };
  return process.stdout.isTTY
    ? pino(
        options,
        pretty({
          colorize: true,
          singleLine: true,
          ignore: 'pid,hostname,node',
          translateTime: 'SYS:HH:MM:ss.l',
          sync: true,
        }),
      )
    : pino({ ...options, timestamp: pino.stdTimeFunctions.isoTime });
}

/** Lines about changes of sessions that a process logs in a second; what a client can make it log is bounded. */
const LINES_PER_SECOND = 100;

/**
 * Makes what logs the changes of sessions at `info`, a line for each event, up to so many in a second; of the rest, only
 * how many they were. With the level `debug`, all of them are logged.
 */
export function sessionLog(logger: Logger): (session: string, event: string) => void {
  const isThorough = logger.isLevelEnabled('debug');
  let left = LINES_PER_SECOND;
  let more = 0;
  let isCounting = false;
  const nextSecond = () => {
    if (more > 0) logger.info({ events: more }, 'more changes of sessions');
    left = LINES_PER_SECOND;
    more = 0;
    isCounting = false;
  };
  return (session, event) => {
    if (!isCounting) setTimeout(nextSecond, 1000).unref();
    isCounting = true;
    if (left > 0 || isThorough) {
      left -= 1;
      logger.info({ session }, event);
    } else {
      more += 1;
    }
  };
}
