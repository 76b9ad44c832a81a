import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  accessSync,
  closeSync,
  constants,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
} from 'node:fs';
import { rename, rmdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

export interface EmbeddedRedisOptions {
  /** Where the data live: Redis' files go to its folder `redis`, which is made if need be. */
  readonly dataDir: string;
  /** Is told what takes long, in one line: waiting for another server to end, and the progress of loading. */
  readonly log: (line: string) => void;
  /** How long another server may take to leave the data directory. Default: 5000. */
  readonly handoverTimeoutMs?: number;
}

/** A Redis of our own: it has no TCP port, and ends with this process however that ends. */
export interface EmbeddedRedis {
  /** The path of its Unix socket, as ioredis takes it. */
  readonly url: string;
  readonly pid: number;
  /** Such as `7.0.15`. */
  readonly version: string;
  /** Resolves when it has ended, called for or not. Never rejects. */
  readonly exited: Promise<RedisExit>;
  /** Ends it, with everything written to disk. Can be called again; never rejects. */
  stop(): Promise<void>;
}

export interface RedisExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/**
 * Starts `redis-server` (on the PATH, 7.0 or later) and waits until it has loaded its data, however long that takes.
 * It runs in a session of its own, so that a Ctrl-C in the terminal leaves it alone and the server can drain first.
 * @throws Error with one clear sentence: Redis is missing, too old, or can't start; the data can't be read; another
 *   server is running with the data directory. Where Redis said why, its last log lines follow.
 */
export async function startEmbeddedRedis(options: EmbeddedRedisOptions): Promise<EmbeddedRedis> {
  const handoverTimeoutMs = options.handoverTimeoutMs ?? 5000;
  const version = await installedVersion();
  const place = makePlace(options.dataDir);
  await untilFree(place, handoverTimeoutMs, options.log);

  const child = await launch(place, handoverTimeoutMs);
  const pid = child.pid as number;
  const exited = new Promise<RedisExit>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  const stop = async () => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await exited;
    clearTimeout(timer);
    if (place.socketDir !== place.dir) await rmdir(place.socketDir).catch(() => {}); // in use again already, or gone
  };

  try {
    await untilLoaded(place, pid, exited, options.log);
  } catch (error) {
    child.kill('SIGKILL'); // it has written nothing, and must not tidy up the socket if that is another's
    await exited;
    throw error;
  }
  return { url: place.socket, pid, version, exited, stop };
}

/** The socket of the embedded Redis of a data directory, or null if there is none. Whether it answers is not asked. */
export function embeddedSocket(dataDir: string): string | null {
  try {
    const dir = join(realpathSync(dataDir), 'redis');
    const socket = join(fits(dir) ? dir : shortDirOf(dir), SOCKET);
    return lstatSync(socket).isSocket() ? socket : null;
  } catch {
    return null;
  }
}

const OLDEST_MAJOR_VERSION = 7;
const STOP_TIMEOUT_MS = 30_000;
const POLL_MS = 20;
const ANSWER_TIMEOUT_MS = 2000;
const PROGRESS_EVERY_MS = 2000;
/** The kernel's limit is 108 bytes on Linux and 104 elsewhere, with a zero at the end. */
const MAX_SOCKET_PATH_BYTES = 100;
const LOCKED_EXIT_CODE = 75;

/**
 * Becomes Redis. Its standard input is a pipe that nobody writes to: its end is the end of our process, even by SIGKILL,
 * and then Redis is told to stop. Redis itself holds the lock of the data directory, so that it is free exactly when
 * Redis is gone. (macOS has no `flock`; there, looking at the socket must do.)
 */
const GUARD = `
  umask 077
  exec 3<&0 </dev/null 9>>redis.lock
  if command -v flock >/dev/null; then flock -w "$1" -E ${LOCKED_EXIT_CODE} 9 || exit; fi
  shift
  { read -r _; kill "$$" 2>/dev/null; } <&3 9>&- &
  exec redis-server "$@" 3<&-`;

interface Place {
  readonly dataDir: string;
  readonly dir: string;
  readonly logFile: string;
  readonly socket: string;
  readonly socketDir: string;
}

async function installedVersion(): Promise<string> {
  const { stdout } = await promisify(execFile)('redis-server', ['--version']).catch((error: Error) => {
    const missing = 'code' in error && error.code === 'ENOENT';
    const problem = missing ? 'redis-server is not installed' : 'redis-server does not run';
    throw new Error(
      `${problem}: install Redis 7.0 or later (on Debian and Ubuntu: apt install redis-server)`,
      {
        cause: error,
      },
    );
  });
  const version = /v=(\d[\w.-]*)/.exec(stdout)?.[1] ?? 'unknown';
  if (Number.parseInt(version, 10) < OLDEST_MAJOR_VERSION) {
    throw new Error(`The redis-server that is installed is ${version}, but 7.0 or later is needed`);
  }
  return version;
}

function makePlace(dataDir: string): Place {
  try {
    mkdirSync(dataDir, { recursive: true });
    const dir = join(realpathSync(dataDir), 'redis');
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    accessSync(dir, constants.R_OK | constants.W_OK | constants.X_OK);
    const socketDir = fits(dir) ? dir : makeShortDir(dir);
    return { dataDir, dir, logFile: join(dir, 'redis.log'), socket: join(socketDir, SOCKET), socketDir };
  } catch (error) {
    throw new Error(`The data directory ${dataDir} cannot be used: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

const SOCKET = 'redis.sock';

function fits(dir: string): boolean {
  return Buffer.byteLength(join(dir, SOCKET)) <= MAX_SOCKET_PATH_BYTES;
}

/** A folder for the socket alone, always the same for the same data, that nobody else can have put there. */
function makeShortDir(dir: string): string {
  const shortDir = shortDirOf(dir);
  if (!fits(shortDir)) throw new Error(`its path, and ${tmpdir()}, are too long for a Unix socket`);
  mkdirSync(shortDir, { recursive: true, mode: 0o700 });
  const { uid, mode } = lstatSync(shortDir);
  if ((mode & 0o170777) !== 0o040700 || uid !== process.getuid?.()) {
    throw new Error(`its socket needs ${shortDir}, which is not a private folder of this user`);
  }
  return shortDir;
}

function shortDirOf(dir: string): string {
  return join(tmpdir(), `openchamp-${createHash('sha256').update(dir).digest('hex').slice(0, 16)}`);
}

/** A server that was stopped a moment ago may still be writing its data. */
async function untilFree(place: Place, timeoutMs: number, log: (line: string) => void): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (let attempt = 0; await accepts(place.socket); attempt++) {
    if (Date.now() >= deadline) throw inUse(place);
    if (attempt === 0) log('waiting for the server that runs with this data directory to end');
    await delay(POLL_MS);
  }
}

function inUse({ dataDir }: Place): Error {
  return new Error(`Another server is running with this data directory, ${dataDir}`);
}

function accepts(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

async function launch(place: Place, lockTimeoutMs: number): Promise<ChildProcess> {
  await rename(place.logFile, `${place.logFile}.1`).catch(() => {}); // the first start: there is none
  const log = openSync(place.logFile, 'a', 0o600);
  const child = spawn(
    'sh',
    ['-c', GUARD, 'redis-guard', String(lockTimeoutMs / 1000), ...redisArguments(place)],
    { cwd: place.dir, detached: true, stdio: ['pipe', log, log] },
  );
  closeSync(log);
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error) => reject(new Error('Redis could not be started', { cause: error })));
  });
  return child;
}

function redisArguments({ dir, socket }: Place): string[] {
  const settings = {
    port: '0',
    unixsocket: socket,
    unixsocketperm: '700',
    dir,
    pidfile: join(dir, 'redis.pid'),
    appendonly: 'yes',
    appendfsync: 'everysec',
    save: '',
    'maxmemory-policy': 'noeviction',
    'hash-max-listpack-value': '256',
  };
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
}

async function untilLoaded(
  place: Place,
  pid: number,
  exited: Promise<RedisExit>,
  log: (line: string) => void,
): Promise<void> {
  let exit: RedisExit | undefined;
  exited.then((how) => {
    exit = how;
  });
  let nextProgress = Date.now() + PROGRESS_EVERY_MS;
  for (;;) {
    const info = await readInfo(place.socket);
    if (exit) throw startFailure(place, exit);
    if (info && Number(info.get('process_id')) !== pid) throw inUse(place);
    if (info?.get('loading') === '0') return;
    if (info && Date.now() >= nextProgress) {
      log(`Redis is loading its data: ${Math.floor(Number(info.get('loading_loaded_perc') ?? 0))} %`);
      nextProgress = Date.now() + PROGRESS_EVERY_MS;
    }
    await Promise.race([delay(POLL_MS), exited]);
  }
}

function startFailure(place: Place, { code, signal }: RedisExit): Error {
  if (code === LOCKED_EXIT_CODE) return inUse(place);
  const log = readFileSync(place.logFile, 'utf8');
  const problem =
    code !== null && log.includes('Server initialized')
      ? `Redis cannot load the data in ${place.dir}: restore a backup, or repair a copy with redis-check-aof`
      : `Redis could not be started (${signal ?? `exit code ${code}`})`;
  const lines = log.split('\n').filter((line) => line !== '' && !line.includes('# WARNING '));
  return new Error(`${problem}. Its log, ${place.logFile}, ends with\n${lines.slice(-5).join('\n')}`);
}

/** What INFO says, which Redis answers even while it loads; undefined if it doesn't answer. */
function readInfo(socketPath: string): Promise<Map<string, string> | undefined> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(socketPath, () => socket.write('INFO\r\nQUIT\r\n'));
    socket.setEncoding('utf8');
    socket.setTimeout(ANSWER_TIMEOUT_MS, () => socket.destroy());
    socket.on('data', (text) => {
      answer += text;
    });
    socket.on('error', () => {}); // 'close' follows
    socket.on('close', () => {
      const fields = new Map<string, string>();
      for (const [, name = '', value = ''] of answer.matchAll(/^(\w+):(.*)\r$/gm)) fields.set(name, value);
      resolve(fields.size > 0 ? fields : undefined);
    });
  });
}
