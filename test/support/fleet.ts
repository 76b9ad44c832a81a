import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cluster, Redis } from 'ioredis';
import { expect } from 'vitest';
import { hashToken } from '../../src/store/ids.js';
import type { Environment } from './cliProcess.js';
import { eventually } from './eventually.js';
import { tempDir } from './guardian.js';
import { type LogEntry, readLog } from './log.js';
import { uniquePrefix } from './prefix.js';
import { type NodeProcess, runCli, startNode } from './processes.js';

export interface Account {
  readonly username: string;
  readonly token: string;
}

/** The password of all accounts that `Fleet.seed` makes. */
export const PASSWORD = 'openchamp';

/** No limit that many clients of one address could run into. */
const UNLIMITED: Environment = {
  LOGIN_ATTEMPTS: '0',
  LOGIN_ATTEMPTS_PER_ADDRESS: '0',
  REGISTRATIONS_PER_ADDRESS: '0',
  MESSAGE_RATE: '0',
};

type Output = Pick<NodeProcess, 'stdout' | 'stderr'>;

/** The processes of one deployment of its own (a key prefix that no other has), on a Redis that may be shared. */
export class Fleet {
  /** Settings of all its processes. */
  readonly env: Environment;
  private readonly processes: NodeProcess[] = [];
  private readonly others: Output[] = [];

  /**
   * @param env where Redis is, and settings of all processes
   * @param redis a connection to that Redis, to read the log by
   */
  constructor(
    env: Environment,
    readonly redis: Redis | Cluster,
  ) {
    this.env = { ...UNLIMITED, KEY_PREFIX: uniquePrefix(), ...env };
  }

  /** Starts a gateway node and waits until it is ready. */
  async serve(env: Environment = {}): Promise<NodeProcess> {
    return this.start('serve', env);
  }

  /** Starts a worker and waits until it is ready. */
  async work(env: Environment = {}): Promise<NodeProcess> {
    return this.start('work', env);
  }

  /** Makes accounts with a token each; gives them in the order of their names. */
  async seed(users: number, prefix = 'player'): Promise<Account[]> {
    const dir = tempDir();
    const out = join(dir, 'tokens');
    const { code, stderr } = await this.cli('seed', '--users', `${users}`, '--out', out, '--prefix', prefix);
    if (code !== 0) throw new Error(`openchamp seed failed: ${stderr}`);
    const lines = (await readFile(out, 'utf8')).trimEnd().split('\n').sort();
    await rm(dir, { recursive: true });
    return lines.map((line) => {
      const [username = '', token = ''] = line.split('\t');
      return { username, token };
    });
  }

  /** Runs a command of the command line on this deployment. */
  cli(...args: string[]): ReturnType<typeof runCli> {
    return runCli(args, this.env);
  }

  /** The whole log. */
  log(): Promise<LogEntry[]> {
    const { KEY_PREFIX = '', PARTITIONS = '1' } = this.env;
    return readLog(this.redis, { prefix: KEY_PREFIX, partitions: Number(PARTITIONS) });
  }

  /** The keys of the deployment, on all servers of its Redis. @param pattern what stands behind its prefix, as Redis has it */
  async keys(pattern = '*'): Promise<string[]> {
    const servers = 'nodes' in this.redis ? this.redis.nodes('master') : [this.redis];
    const keys = new Set<string>();
    for (const server of servers) {
      const match = `${this.env.KEY_PREFIX}${pattern}`;
      for await (const page of server.scanStream({ match, count: 1000 })) {
        for (const key of page as string[]) keys.add(key);
      }
    }
    return [...keys];
  }

  /** The sessions that were begun with a token, in the order of their beginning, each with its events. */
  async sessionsOf(token: string): Promise<LogEntry[][]> {
    const hash = hashToken(token);
    const bySubject = eventsBySubject(await this.log());
    return [...bySubject.values()].filter(([first]) => first?.data.token === hash && isSession(first));
  }

  /** Another process runs nodes of the deployment, and prints what they print. */
  alsoRunBy(process: Output): void {
    this.others.push(process);
  }

  /** All that its processes have printed so far. */
  printed(): string {
    return [...this.processes, ...this.others].map(({ stdout, stderr }) => stdout + stderr).join('\n');
  }

  /** Expects that the log is sound (see `expectSound`) and that `verify` finds it to agree with the live state. */
  async expectConsistent(): Promise<LogEntry[]> {
    const log = await this.log();
    expectSound(log);
    const { code, stdout, stderr } = await this.cli('verify');
    expect(code, `verify: ${stdout}${stderr}`).toBe(0);
    return log;
  }

  /** Waits until no session is attached any more, as it must be when all connections are closed. */
  async untilNobodyIsAttached(): Promise<void> {
    const servers = 'nodes' in this.redis ? this.redis.nodes('master') : [this.redis];
    const indexes = `${this.env.KEY_PREFIX ?? ''}{*}:node:*`;
    await eventually(
      async () => {
        const found = await Promise.all(servers.map((server) => server.keys(indexes)));
        expect(found.flat()).toEqual([]);
      },
      { intervalMs: 200, message: 'every session is left or ended' },
    );
  }

  /** Kills whatever still runs. */
  async stop(): Promise<void> {
    for (const process of this.processes) process.kill('SIGKILL');
    await Promise.all(this.processes.map(({ exited }) => exited));
  }

  private async start(command: 'serve' | 'work', env: Environment): Promise<NodeProcess> {
    const process = await startNode({ command, env: { ...this.env, ...env } });
    this.processes.push(process);
    return process;
  }
}

/** The events of each subject, in the order of the log. */
export function eventsBySubject(log: readonly LogEntry[]): Map<string, LogEntry[]> {
  const subjects = new Map<string, LogEntry[]>();
  for (const entry of log) {
    const events = subjects.get(entry.subject);
    if (events) events.push(entry);
    else subjects.set(entry.subject, [entry]);
  }
  return subjects;
}

/** The types of events without `session.`, a detachment with its reason: `started detached:closed resumed`. */
export function storyOf(events: readonly LogEntry[]): string {
  return events
    .map(({ type, data }) => {
      const reason = type === 'session.detached' ? `:${data.reason}` : '';
      return type.replace('session.', '') + reason;
    })
    .join(' ');
}

/** How many sessions have each story, see `storyOf`. */
export function storiesOf(log: readonly LogEntry[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const events of eventsBySubject(log).values()) {
    if (!isSession(events[0]!)) continue;
    const story = storyOf(events);
    counts[story] = (counts[story] ?? 0) + 1;
  }
  return counts;
}

const ENDS = new Set(['session.logged_out', 'session.replaced', 'session.expired']);

/**
 * Expects that the versions of every subject go up by one from 1, that a session begins once and first and ends once at
 * most and last, and that between them it is detached and resumed by turns.
 */
export function expectSound(log: readonly LogEntry[]): void {
  const problems: string[] = [];
  for (const [subject, events] of eventsBySubject(log)) {
    const problem = events.some(({ version }, i) => version !== i + 1)
      ? `versions ${events.map(({ version }) => version)}`
      : isSession(events[0]!) && !isSoundSession(events)
        ? storyOf(events)
        : null;
    if (problem) problems.push(`${subject}: ${problem}`);
  }
  expect(problems).toEqual([]);
}

function isSession({ type }: LogEntry): boolean {
  return type.startsWith('session.');
}

function isSoundSession(events: readonly LogEntry[]): boolean {
  let isAttached = false;
  return events.every(({ type }, i) => {
    if ((type === 'session.started') !== (i === 0)) return false;
    if (ENDS.has(type)) return i === events.length - 1;
    if (type === 'session.detached' && !isAttached) return false;
    if (type === 'session.resumed' && isAttached) return false;
    if (type === 'session.started' || type === 'session.resumed') isAttached = true;
    if (type === 'session.detached') isAttached = false;
    return true;
  });
}
