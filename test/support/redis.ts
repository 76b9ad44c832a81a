import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Environment } from './cliProcess.js';
import { tempDir } from './guardian.js';
import { onFreePorts } from './ports.js';
import { RedisServer } from './redisServer.js';

export { RedisServer } from './redisServer.js';

export interface StartRedisOptions {
  /** Whether to keep an append-only file (`appendfsync everysec`). Default: no. */
  readonly appendonly?: boolean;
  /** Where the data is and stays. Default: a temporary directory, removed by stop(). */
  readonly dir?: string;
  /** Size of a disk of its own that the data are on, in bytes; it takes root's rights. Default: that of the directory. */
  readonly diskBytes?: number;
  /** More variables of its environment. */
  readonly env?: Environment;
  /** More configuration, as on the command line: `['--maxmemory', '10mb']`. */
  readonly args?: readonly string[];
}

/** Starts a single Redis server on a free port of 127.0.0.1 and on a unix socket. It doesn't outlive this process. */
export function startRedis(options: StartRedisOptions = {}): Promise<RedisServer> {
  return onFreePorts(1, ([port]) => startRedisOn(port!, options));
}

/**
 * The same on a given port.
 * @throws PortTakenError
 */
export async function startRedisOn(port: number, options: StartRedisOptions = {}): Promise<RedisServer> {
  const dataLines = [
    'save ""',
    `appendonly ${options.appendonly ? 'yes' : 'no'}`,
    'appendfsync everysec',
    'maxmemory-policy noeviction',
    'shutdown-timeout 0',
    'repl-diskless-sync-delay 0',
  ];
  return startConfigured(port, [...dataLines, ...configLines(options.args ?? [])], options);
}

/**
 * Starts a Sentinel process on a given port.
 * @param lines its `sentinel …` lines of configuration
 * @throws PortTakenError
 */
export async function startSentinelOn(port: number, lines: readonly string[]): Promise<RedisServer> {
  return startConfigured(port, lines, { sentinel: true });
}

/** The append-only file that what a server writes now goes to. */
export async function appendOnlyFile({ dir }: RedisServer): Promise<string> {
  const folder = join(dir, 'appendonlydir');
  return join(folder, (await readdir(folder)).findLast((name) => name.endsWith('.incr.aof'))!);
}

async function startConfigured(
  port: number,
  lines: readonly string[],
  place: StartRedisOptions & { readonly sentinel?: boolean },
): Promise<RedisServer> {
  const { dir = tempDir(), sentinel = false, diskBytes, env } = place;
  await mkdir(dir, { recursive: true });
  const temporary = place.dir === undefined;
  const server = new RedisServer({ port, dir, temporary, sentinel, diskBytes, env });
  const common = [
    `port ${port}`,
    'bind 127.0.0.1',
    'protected-mode no',
    `unixsocket ${JSON.stringify(server.socketPath)}`,
    `dir ${JSON.stringify(diskBytes === undefined ? dir : join(dir, 'disk'))}`,
  ];
  // A file and not arguments: what a Sentinel or a CONFIG REWRITE changes must outlive a restart.
  await writeFile(join(dir, 'redis.conf'), `${[...common, ...lines].join('\n')}\n`);
  try {
    await server.start();
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** Turns `['--name', 'value', …]` into lines of a configuration file. */
function configLines(args: readonly string[]): string[] {
  const lines: string[] = [];
  for (const arg of args) {
    if (arg.startsWith('--')) lines.push(arg.slice(2));
    else if (lines.length > 0) lines.push(`${lines.pop()} ${JSON.stringify(arg)}`);
    else throw new Error(`Redis configuration must begin with a --name, not with ${arg}`);
  }
  return lines;
}
