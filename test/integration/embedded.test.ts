import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { Redis } from 'ioredis';
import ts from 'typescript';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { type EmbeddedRedis, startEmbeddedRedis } from '../../src/redis/embedded.js';

describe('the embedded Redis', () => {
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  it('keeps its data over a stop and a start', async () => {
    const dataDir = makeDataDir();
    const first = await start(dataDir);
    expect(await command(first.url, (redis) => redis.set('key', 'value'))).toBe('OK');
    await first.stop();
    expect(await first.exited).toEqual({ code: 0, signal: null });

    const second = await start(dataDir);
    expect(await command(second.url, (redis) => redis.get('key'))).toBe('value');
    expect(second.version).toMatch(/^\d+\.\d+\.\d+/);
  });

  it('never evicts, writes an append-only file each second, has no TCP port, and is private', async () => {
    const dataDir = makeDataDir();
    const { url } = await start(dataDir);
    const settings = await command(url, (redis) =>
      redis.config('GET', 'port', 'appendonly', 'appendfsync', 'save', 'maxmemory-policy'),
    );
    expect(settings).toEqual(
      expect.arrayContaining(['port', '0', 'appendonly', 'yes', 'appendfsync', 'everysec', 'noeviction']),
    );
    expect(settings.at(settings.indexOf('save') + 1)).toBe('');
    expect(statSync(join(dataDir, 'redis')).mode & 0o777).toBe(0o700);
  });

  it('can be stopped twice', async () => {
    const redis = await start(makeDataDir());
    await Promise.all([redis.stop(), redis.stop()]);
    await redis.stop();
  });

  it('tells of an end that nobody asked for', async () => {
    const redis = await start(makeDataDir());
    process.kill(redis.pid, 'SIGKILL');
    expect(await redis.exited).toEqual({ code: null, signal: 'SIGKILL' });
  });

  it('starts again after a power failure that left half a command in the file', async () => {
    const dataDir = makeDataDir();
    const first = await start(dataDir);
    await command(first.url, (redis) => redis.set('key', 'value'));
    await first.stop();
    const file = appendOnlyFile(dataDir);
    writeFileSync(file, `${readFileSync(file, 'utf8')}*3\r\n$3\r\nSET\r\n$3\r\nke`);
    const second = await start(dataDir);
    expect(await command(second.url, (redis) => redis.get('key'))).toBe('value');
  });

  it('puts its socket elsewhere when the data directory is too deep for one', async () => {
    const dataDir = join(makeDataDir(), 'a'.repeat(60), 'b'.repeat(60));
    const redis = await start(dataDir);
    expect(Buffer.byteLength(redis.url)).toBeLessThan(104);
    expect(statSync(dirname(redis.url)).mode & 0o777).toBe(0o700);
    expect(await command(redis.url, (client) => client.ping())).toBe('PONG');
    await redis.stop();
    expect(() => statSync(dirname(redis.url))).toThrow('ENOENT');
  });
});

describe('a second server on the same data directory', () => {
  it('is refused, and does the first one no harm', async () => {
    const dataDir = makeDataDir();
    const { url } = await start(dataDir);
    await expect(start(dataDir, 300)).rejects.toThrow(
      `Another server is running with this data directory, ${dataDir}`,
    );
    expect(await command(url, (redis) => redis.set('key', 'value'))).toBe('OK');
  });

  it('is refused when both start at the same moment', async () => {
    const dataDir = makeDataDir();
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => start(dataDir, 300)));
    const problems = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
    expect(problems.map(String)).toEqual(
      [1, 2].map(() => expect.stringContaining('Another server is running')),
    );
    const winner = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    expect(await command(winner[0]!.url, (redis) => redis.ping())).toBe('PONG');
  });

  it('waits for one that is about to end', async () => {
    const dataDir = makeDataDir();
    const first = await start(dataDir);
    const lines: string[] = [];
    const second = start(dataDir, 10_000, (line) => {
      lines.push(line);
      void first.stop();
    });
    expect(await command((await second).url, (redis) => redis.ping())).toBe('PONG');
    expect(lines).toEqual(['waiting for the server that runs with this data directory to end']);
  });
});

describe('the process that started it', () => {
  it('takes Redis with it when it is killed', async () => {
    const dataDir = makeDataDir();
    const parent = await startInProcess(dataDir);
    expect(isAlive(parent.redisPid)).toBe(true);
    parent.process.kill('SIGKILL');
    await vi.waitFor(() => expect(isAlive(parent.redisPid)).toBe(false), { timeout: 10_000, interval: 20 });
    expect(redisLog(dataDir)).toContain('Received SIGTERM');
    await start(dataDir);
  });

  it('keeps Redis through a Ctrl-C in its terminal, until it stops it', async () => {
    const dataDir = makeDataDir();
    const parent = await startInProcess(dataDir);
    process.kill(-parent.process.pid!, 'SIGINT');
    expect(await parent.nextLine()).toBe('interrupted');
    expect(await command(parent.url, (redis) => redis.ping())).toBe('PONG');
    parent.process.kill('SIGTERM');
    expect(await parent.nextLine()).toBe('stopped');
    expect(isAlive(parent.redisPid)).toBe(false);
    expect(redisLog(dataDir)).toContain('Received SIGTERM');
    expect(redisLog(dataDir)).not.toContain('Received SIGINT');
  });
});

describe('what keeps it from starting is said clearly:', () => {
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  it('data it cannot read', async () => {
    const dataDir = makeDataDir();
    await (await start(dataDir)).stop();
    writeFileSync(appendOnlyFile(dataDir), 'this is no append-only file\n'.repeat(100));
    const problem = await start(dataDir).catch((error: Error) => error.message);
    expect(problem).toContain(`Redis cannot load the data in ${join(dataDir, 'redis')}`);
    expect(problem).toContain('Bad file format reading the append only file');
  });

  it('a data directory that is a file', async () => {
    const path = join(makeDataDir(), 'file');
    writeFileSync(path, '');
    await expect(start(path)).rejects.toThrow(`The data directory ${path} cannot be used: `);
  });

  it('no redis-server', async () => {
    vi.stubEnv('PATH', makeDataDir());
    await expect(start(makeDataDir())).rejects.toThrow('redis-server is not installed: install Redis 7.0');
  });

  it('a redis-server that is too old', async () => {
    stubProgram('echo "Redis server v=6.2.14 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64"');
    await expect(start(makeDataDir())).rejects.toThrow('redis-server that is installed is 6.2.14');
  });

  it('a redis-server that ends at once', async () => {
    stubProgram('if [ "$1" = --version ]; then echo "Redis server v=7.0.0"; else echo why; exit 3; fi');
    await expect(start(makeDataDir())).rejects.toThrow(
      /^Redis could not be started \(exit code 3\)\. [^\n]+\nwhy$/,
    );
  });
});

/** Starts one that is stopped at the end of the test, if it isn't already. */
async function start(dataDir: string, handoverTimeoutMs = 5000, log = (_line: string) => {}) {
  const redis: EmbeddedRedis = await startEmbeddedRedis({ dataDir, log, handoverTimeoutMs });
  onTestFinished(() => redis.stop());
  return redis;
}

function makeDataDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'oc-embedded-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

async function command<T>(path: string, send: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis({ path });
  try {
    return await send(redis);
  } finally {
    redis.disconnect();
  }
}

function appendOnlyFile(dataDir: string): string {
  return join(dataDir, 'redis', 'appendonlydir', 'appendonly.aof.1.incr.aof');
}

function redisLog(dataDir: string): string {
  return readFileSync(join(dataDir, 'redis', 'redis.log'), 'utf8');
}

/** Puts a script in the place of redis-server. */
function stubProgram(script: string): void {
  const dir = makeDataDir();
  writeFileSync(join(dir, 'redis-server'), `#!/bin/sh\n${script}\n`);
  chmodSync(join(dir, 'redis-server'), 0o755);
  vi.stubEnv('PATH', `${dir}:${process.env.PATH}`);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  return !isZombie(pid);
}

/** Ended, but not yet waited for by whoever inherited it. */
function isZombie(pid: number): boolean {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

interface OtherProcess {
  readonly process: ChildProcess;
  readonly redisPid: number;
  readonly url: string;
  nextLine(): Promise<string>;
}

/** Starts it in a process, and process group, of its own. That can't load TypeScript, so it gets it as JavaScript. */
async function startInProcess(dataDir: string): Promise<OtherProcess> {
  const program = `${javascriptOf('src/redis/embedded.ts')}
    const redis = await startEmbeddedRedis({ dataDir: ${JSON.stringify(dataDir)}, log: () => {} });
    process.on('SIGINT', () => console.log('interrupted'));
    process.on('SIGTERM', () => redis.stop().then(() => console.log('stopped')));
    console.log(redis.pid);
    console.log(redis.url);`;
  const dir = makeDataDir();
  writeFileSync(join(dir, 'parent.mjs'), program);
  const child = spawn(process.execPath, [join(dir, 'parent.mjs')], {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const nextLine = async () => (await lines.next()).value as string;
  return { process: child, redisPid: Number(await nextLine()), url: await nextLine(), nextLine };
}

function javascriptOf(path: string): string {
  const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  const source = readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
  return ts.transpileModule(source, { compilerOptions: options }).outputText;
}
