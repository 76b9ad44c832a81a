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
