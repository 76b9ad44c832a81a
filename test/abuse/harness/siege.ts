import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Environment } from '../../support/cliProcess.js';
import { eventually } from '../../support/eventually.js';
import { type Account, Fleet } from '../../support/fleet.js';
import type { NodeProcess } from '../../support/processes.js';
import { type RedisServer, startRedis } from '../../support/redis.js';
import { MemoryWatch, residentMb } from './memory.js';
import { Regular } from './regular.js';

/** How many well-behaved clients there are. */
export const REGULARS = 4;

/** The well-behaved chat in each round. */
const FREE_TO_CHAT: Environment = { CHAT_RATE: '0' };

const WARM_UP_MS = 500;
const QUIET_MS = 1000;

/** What an attack may do to the node and to the well-behaved clients on it. */
export interface Damage {
  /**
   * How many times as long as in quiet a round of theirs takes, by medians. Left out where an attack is over too soon to
   * tell; they are served all the same.
   */
  readonly slowdown?: number;
  /** The most memory that the node has more than before, in MB. */
  readonly grownMb: number;
}

/** A node to be attacked, with well-behaved clients on it. */
export class Siege {
  private quietMs = 0;

  private constructor(
    readonly redis: RedisServer,
    readonly fleet: Fleet,
    readonly node: NodeProcess,
    /** For attackers and victims; the well-behaved clients have others. */
    readonly accounts: Account[],
    private readonly regulars: readonly Regular[],
  ) {}

  /** Starts everything, and measures how the well-behaved are served in quiet. @param accounts how many are wanted */
  static async begin(env: Environment = {}, accounts = 0): Promise<Siege> {
    const redis = await startRedis({ appendonly: true });
    const fleet = new Fleet({ REDIS_URL: redis.url, ...FREE_TO_CHAT, ...env }, redis.client());
    try {
      const [node, seeded] = await Promise.all([fleet.serve(), fleet.seed(REGULARS + accounts)]);
      const regulars = await Promise.all(
        seeded.splice(0, REGULARS).map((account) => Regular.arrive(node, account)),
      );
      const siege = new Siege(redis, fleet, node, seeded, regulars);
      await siege.serveWhile(() => delay(WARM_UP_MS));
      siege.quietMs = await siege.serveWhile(() => delay(QUIET_MS));
      return siege;
    } catch (error) {
      await fleet.stop();
      await redis.stop();
      throw error;
    }
  }

  /**
   * Attacks, while the well-behaved clients go on.
   * @throws when one of them gets a wrong answer, or none in 20 s, or the damage is not below what is given
   */
  async during(most: Damage, attack: () => Promise<unknown>): Promise<void> {
    const before = await residentMb(this.node.pid);
    const watch = new MemoryWatch(this.node.pid);
    try {
      const medianMs = await this.serveWhile(attack);
      const grownMb = (await watch.stop()) - before;
      expect(grownMb, 'MB that the node has grown by').toBeLessThan(most.grownMb);
      const slowdown = medianMs / this.quietMs;
      if (most.slowdown) expect(slowdown, 'how much slower they are served').toBeLessThan(most.slowdown);
    } finally {
      await watch.stop();
    }
  }

  /** How many connections the node has besides those of the well-behaved. */
  async others(): Promise<number> {
    return (await this.metric('openchamp_connections')) - REGULARS;
  }

  /** Waits until the node has no more connections than those of the well-behaved, and so many others. */
  async untilOthersAre(count: number): Promise<void> {
    const left = async () => expect(await this.others()).toBe(count);
    await eventually(left, { timeoutMs: 30_000, intervalMs: 100, message: 'the others are gone' });
  }

  /** A metric of the node, with its labels as they are shown. */
  async metric(name: string): Promise<number> {
    const metrics = await (await fetch(`${this.node.adminUrl}/metrics`)).text();
    const line = metrics.split('\n').find((one) => one.startsWith(`${name} `));
    return Number(line!.slice(name.length + 1));
  }

  async stop(): Promise<void> {
    await this.fleet.stop();
    await this.redis.stop();
  }

  /** The median of the rounds that the well-behaved clients make meanwhile, in ms. */
  private async serveWhile(work: () => Promise<unknown>): Promise<number> {
    let isOver = false;
    for (const { rounds } of this.regulars) rounds.length = 0;
    const playing = Promise.all(this.regulars.map((regular) => regular.play(() => isOver)));
    // a wrong answer is told at once, and not when the attack is over
    const wrong = playing.then(() => new Promise<never>(() => {}));
    try {
      await Promise.race([work(), wrong]);
    } finally {
      isOver = true;
    }
    await playing;
    return median(this.regulars.flatMap(({ rounds }) => rounds));
  }
}

export function median(values: readonly number[]): number {
  expect(values.length).toBeGreaterThan(0);
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}
