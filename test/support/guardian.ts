import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Starts a child process that doesn't outlive this one, however this one ends (even by SIGKILL). A shell of its own
 * process group holds the list of the living children and takes them down when this process is gone.
 */
export function spawnGuarded(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  const { stdin } = guardian();
  const child = spawn(command, args, options);
  const { pid } = child;
  if (pid !== undefined) {
    stdin.write(`+ ${pid}\n`);
    child.once('exit', () => stdin.write(`- ${pid}\n`));
  }
  return child;
}

/** Makes a new, empty directory that is removed when this process is gone. */
export function tempDir(): string {
  return mkdtempSync(join(guardian().root, 'd'));
}

/**
 * Reads `+ pid` and `- pid` lines. At their end, which is the end of the process that writes them: SIGTERM twice (a
 * server takes the second as "at once", and has children of its own to take down), SIGKILL, remove the directory $1.
 */
const SCRIPT = `
trap '' HUP INT TERM
pids=' '
while read -r sign pid; do
  case "$sign$pids" in
    +*) pids="$pids$pid " ;;
    -*" $pid "*) pids="\${pids%% $pid *} \${pids#* $pid }" ;;
  esac
done
if [ "$pids" != ' ' ]; then
  kill -CONT $pids
  kill -TERM $pids
  sleep 0.3
  kill -TERM $pids
  sleep 0.7
  kill -KILL $pids
fi
rm -rf -- "$1"
`;

interface Guardian {
  readonly stdin: Socket;
  /** Where all temporary directories of this process are. */
  readonly root: string;
}

let running: Guardian | undefined;

function guardian(): Guardian {
  if (!running) {
    const root = mkdtempSync(join(tmpdir(), 'octest-'));
    const shell = spawn('/bin/sh', ['-c', SCRIPT, 'guardian', root], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    const stdin = shell.stdin as Socket;
    stdin.on('error', () => {}); // the guardian was killed: there is nobody left to tell
    stdin.unref();
    shell.unref();
    running = { stdin, root };
  }
  return running;
}
