import { expect } from 'vitest';
import { hashName } from '../../../src/store/ids.js';
import { eventually } from '../../support/eventually.js';
import type { Fleet } from '../../support/fleet.js';

/** Kinds of keys that stay when nobody is there: the log, accounts, detached sessions. */
const STAYS = /^\{\d+\}:(?:log|user:.+|account:\S+|sessions:\S+|detached|used:\d+)$|^\{meta\}:partitions$/;

/** Kinds of keys that go by themselves. */
const EXPIRES =
  /^\{\d+\}:(?:token|lane|ended|fence):\S+$|^\{nodes\}:(?:lease:\S+|gateways|reaper)$|^\{(?:watch|forming|ports)\}:\S+$|^limit:/;

/** Nodes are forgotten by the reaper once they have no sessions; those that live may stay. */
const NODES = /^\{\d+\}:nodes$/;

/** Display names that sessions have, and what was reserved and not confirmed. */
const CLAIM = /^\{(\d+)\}:claim:name:(\S+)$/;
const RESERVATIONS = /^\{\d+\}:(?:reservations|freed)$/;

/**
 * After this time a reservation that nobody has confirmed is given up, with some time to do it in; a freed name that is
 * reserved waits for that.
 */
const RESERVED_MS = 70_000;

/** What BullMQ keeps of a queue: its settings, the last events, schedules, and jobs, of which few are remembered. */
const JOBS = /^\{jobs\}:(\w+):(.+)$/;
const QUEUE_SETTINGS = /^(?:meta|id|marker|repeat|repeat:[a-z]+)$/;
const MOST_JOBS = { delayed: 5, completed: 10, failed: 100 } as const;
const MOST_JOB_EVENTS = 11_000;

/** Keys that are looked at at the same time. */
const AT_ONCE = 500;

/** Longer than a job of a worker that has died takes to get to another one. */
const TIDY_MS = 30_000;

/**
 * Expects that every key has a purpose, and an expiry if it should have one, though nobody is online: no session is
 * attached to any node, nobody waits for a match, nodes that are remembered live, names are those of sessions, no job
 * is under way.
 */
export async function expectTidy(fleet: Fleet): Promise<void> {
  await eventually(
    async () => {
      const names = (await fleet.keys()).map((key) => key.slice(fleet.env.KEY_PREFIX!.length));
      const inventory = new Inventory(fleet, await displayNames(fleet, names));
      const judged = await inBatches(names, async (name) =>
        (await inventory.isRight(name)) ? [] : [await inventory.describe(name)],
      );
      expect(judged.flat()).toEqual([]);
    },
    { timeoutMs: TIDY_MS, intervalMs: 500, message: 'nothing is left behind' },
  );
}

class Inventory {
  private readonly redis: Fleet['redis'];
  private readonly prefix: string;

  /** @param displayNames hashes of the names that sessions have */
  constructor(
    { redis, env }: Fleet,
    private readonly displayNames: ReadonlySet<string>,
  ) {
    this.redis = redis;
    this.prefix = env.KEY_PREFIX ?? '';
  }

  /** @param name of a key, after the prefix of all */
  async isRight(name: string): Promise<boolean> {
    const key = this.prefix + name;
    if (STAYS.test(name)) return true;
    if (EXPIRES.test(name)) return (await this.redis.pttl(key)) !== -1;
    if (NODES.test(name)) return this.allLive(await this.redis.smembers(key));
    if (RESERVATIONS.test(name)) return (await this.agesOf(key)).every((age) => age < RESERVED_MS);
    const [, partition, value] = CLAIM.exec(name) ?? [];
    if (value !== undefined) return this.displayNames.has(value) || this.isReserved(partition!, value);
    const [, queue, rest] = JOBS.exec(name) ?? [];
    return queue !== undefined && this.isRightOfQueue(key, queue, rest!);
  }

  async describe(name: string): Promise<string> {
    const key = this.prefix + name;
    return `${name} (${await this.redis.type(key)}, expires in ${await this.redis.pttl(key)} ms)`;
  }

  private async allLive(nodes: readonly string[]): Promise<boolean> {
    const leases = nodes.map((node) => this.redis.exists(`${this.prefix}{nodes}:lease:${node}`));
    return (await Promise.all(leases)).every((lives) => lives === 1);
  }

  /** Ages of the members of a sorted set by time, in ms. */
  private async agesOf(key: string): Promise<number[]> {
    const members = await this.redis.zrangebyscore(key, '-inf', '+inf', 'WITHSCORES');
    return members.filter((_, i) => i % 2 === 1).map((score) => Date.now() - Number(score));
  }

  private async isReserved(partition: string, value: string): Promise<boolean> {
    const score = await this.redis.zscore(`${this.prefix}{${partition}}:reservations`, `name:${value}`);
    return score !== null && Date.now() - Number(score) < RESERVED_MS;
  }

  private async isRightOfQueue(key: string, queue: string, rest: string): Promise<boolean> {
    if (QUEUE_SETTINGS.test(rest)) return true;
    if (rest === 'stalled-check') return (await this.redis.pttl(key)) !== -1;
    if (rest === 'events') return (await this.redis.xlen(key)) <= MOST_JOB_EVENTS;
    const most = Object.entries(MOST_JOBS).find(([state]) => state === rest)?.[1];
    if (most !== undefined) return (await this.redis.zcard(key)) <= most;
    const states = Object.keys(MOST_JOBS).map((state) =>
      this.redis.zscore(`${this.prefix}{jobs}:${queue}:${state}`, rest),
    );
    return (await Promise.all(states)).some((score) => score !== null);
  }
}

/** Hashes of the display names that stand in the records of sessions. */
async function displayNames({ redis, env }: Fleet, names: readonly string[]): Promise<Set<string>> {
  const accounts = names.filter((name) => /^\{\d+\}:sessions:/.test(name));
  const records = await inBatches(accounts, (name) => redis.hvals(`${env.KEY_PREFIX}${name}`));
  const hashes = new Set<string>();
  for (const record of records.flat()) {
    const [, , , , displayName] = JSON.parse(record.slice(record.indexOf('['))) as unknown[];
    if (typeof displayName === 'string') hashes.add(hashName(displayName));
  }
  return hashes;
}

async function inBatches<T>(names: readonly string[], ask: (name: string) => Promise<T>): Promise<T[]> {
  const answers: T[] = [];
  for (let i = 0; i < names.length; i += AT_ONCE) {
    answers.push(...(await Promise.all(names.slice(i, i + AT_ONCE).map(ask))));
  }
  return answers;
}
