import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

/** A command that Redis has got, and from where: `lua` for those of scripts, else an address. */
export interface MonitoredCommand {
  readonly args: readonly string[];
  readonly source: string;
}

/**
 * Watches the commands that a Redis gets. On a connection of its own: ioredis now and then takes the first of them for the
 * answer to a command, if they come together with the answer to `MONITOR`.
 * @returns a function that ends it
 */
export async function monitorCommands(
  port: number,
  onCommand: (command: MonitoredCommand) => void,
): Promise<() => void> {
  const socket = connect(port, '127.0.0.1');
  socket.write('MONITOR\r\n');
  const lines = createInterface(socket);
  await once(lines, 'line'); // +OK
  lines.on('line', (line) => {
    const [, source, rest] = LINE.exec(line) ?? [];
    if (rest === undefined) throw new Error(`Redis tells no command: ${line}`);
    onCommand({ source: source!, args: [...rest.matchAll(ARGUMENT)].map(([, text]) => unescaped(text!)) });
  });
  return () => socket.destroy();
}

const LINE = /^\+[\d.]+ \[\d+ (\S+)\] (.*)$/;
const ARGUMENT = /"((?:[^"\\]|\\.)*)"/g;

/** Good for what commands are looked at for here; bytes that are no ASCII stay as they are. */
function unescaped(text: string): string {
  return text.replace(/\\(["\\])/g, '$1');
}
