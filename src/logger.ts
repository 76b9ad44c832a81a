import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';

/** Makes the logger of a process: one JSON object a line, or coloured lines in a terminal. Errors keep their causes. */
export function createLogger(level: string): Logger {
  const options = { level, base: null };
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
