import { afterEach, beforeEach, expect } from 'vitest';
import type { Environment } from '../../support/cliProcess.js';
import { tokenAuth } from '../../support/conversation.js';
import { eventually } from '../../support/eventually.js';
import { type Account, Fleet } from '../../support/fleet.js';
import type { LogEntry } from '../../support/log.js';
import { enter, type Player } from '../../support/players.js';
import type { NodeProcess } from '../../support/processes.js';
import { Random } from '../../support/random.js';
import { Crowd, type CrowdOptions } from './crowd.js';
import { expectMatch } from './matches.js';
import { expectTruth, type TruthOptions } from './truth.js';

/** How long what is done again and again is done, in ms: `FAULT_SECONDS`. */
export const DURATION_MS = Number(process.env.FAULT_SECONDS ?? 4) * 1000;

/** What decides all that is random: `SEED`. */
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));

const CLIENTS = 500;

/** More accounts, to look with whether all is as it should be. */
const EXTRAS = 20;

/** How long a message may take to everybody, in ms. */
const HEARD_MS = 10_000;

/** How long a test of this kind may take, in ms. */
export const LIMIT_MS = 150_000 + 3 * DURATION_MS;

/** Settings of all processes: leases and game servers that end soon, so that tests needn't wait for long. */
const QUICK: Environment = {
  LEASE_SECONDS: '2',
  COMMIT_TIMEOUT_MS: '2000',
  DRAIN_SECONDS: '2',
  GAME_COMMAND: 'sleep 1',
  TOKENS_PER_ACCOUNT: '0', // players go on with their first one
};

/**
 * A lease that a busy machine can keep: when Redis is back a node takes up to a second to connect, and a third of the lease
 * to renew it. For tests that lose no node.
 */
export const STEADY_LEASE: Environment = { LEASE_SECONDS: '4' };

/** A deployment with a crowd of clients that go on whatever happens to it. */
export class Storm {
  readonly random = new Random(SEED);
  /** The nodes that clients connect to. */
  nodes: NodeProcess[] = [];
  workers: NodeProcess[] = [];
  /** Accounts that are not of the crowd. */
  private extras: Account[] = [];
  private crowd!: Crowd;

  private constructor(readonly fleet: Fleet) {}

  /**
   * Starts nodes and workers, and waits until everybody has been logged in.
   * @param env where Redis is, and settings of all processes
   */
  static async begin(
    env: Environment,
    redis: Fleet['redis'],
    options: { readonly nodes?: number; readonly workers?: number } & Pick<
      CrowdOptions,
      'breaksOff' | 'pace'
    > = {},
  ): Promise<Storm> {
    const storm = new Storm(new Fleet({ ...QUICK, ...env }, redis));
    storms.add(storm);
    const { nodes = 3, workers = 1, ...crowd } = options;
    await Promise.all([
      ...Array.from({ length: nodes }, () => storm.addNode()),
      ...Array.from({ length: workers }, () => storm.addWorker()),
    ]);
    const accounts = await storm.fleet.seed(CLIENTS + EXTRAS);
    storm.extras = accounts.splice(0, EXTRAS);
    const urls = () => storm.nodes.map(({ wsUrl }) => wsUrl);
    storm.crowd = new Crowd({ accounts, urls, seed: SEED, ...crowd });
    await storm.everybodyPlays();
    return storm;
  }

  async addNode(env: Environment = {}): Promise<NodeProcess> {
    const node = await this.fleet.serve(env);
    this.nodes.push(node);
    return node;
  }

  async addWorker(env: Environment = {}): Promise<NodeProcess> {
    const worker = await this.fleet.work(env);
    this.workers.push(worker);
    return worker;
  }

  /** Clients connect to a node no more. */
  withdraw(node: NodeProcess): void {
    this.nodes = this.nodes.filter((other) => other !== node);
  }

  get players(): Crowd['players'] {
    return this.crowd.players;
  }

  /** More players, who do nothing by themselves. @param node the first one that they connect to @param isDeaf to chat */
  enterQuietly(accounts: readonly Account[], node = 0, isDeaf = true): Promise<Player[]> {
    const nodeOf = (i: number) => this.nodes[(node + i) % this.nodes.length]!;
    return Promise.all(accounts.map((account, i) => enter(nodeOf(i), account, false, { isDeaf })));
  }

  /** The longest that a player has waited for an answer since a time by the wall clock; in ms. */
  longestWait(since: number): number {
    return this.crowd.longestWait(since);
  }

  /** Waits until everybody has been logged in again. */
  async everybodyPlays(times = 1): Promise<void> {
    await this.crowd.everybodyPlays(times);
  }

  /** Waits until every process says that it is ready, or that it isn't. */
  async readiness(isReady: boolean, processes = [...this.nodes, ...this.workers]): Promise<void> {
    await Promise.all(
      processes.map(({ adminUrl }) => {
        const says = async () => expect((await fetch(`${adminUrl}/readyz`)).status).toBe(isReady ? 200 : 503);
        return eventually(says, { timeoutMs: 30_000, message: `readiness is ${isReady}` });
      }),
    );
  }

  /** Does something again and again, until the time is up. */
  async again(work: () => Promise<void>): Promise<void> {
    const end = performance.now() + DURATION_MS;
    do await work();
    while (performance.now() < end);
  }

  /** Expects that the jobs are being done: two who wait, on two nodes, get a match. The crowd keeps out of the line. */
  async expectMatch(): Promise<void> {
    this.crowd.queues = false;
    const { redis, env } = this.fleet;
    const waiting = async () => {
      if (this.players.some(({ isQueueing }) => isQueueing)) return true;
      for (let partition = 0; partition < Number(env.PARTITIONS); partition += 1) {
        if (await redis.exists(`${env.KEY_PREFIX}{${partition}}:queue`)) return true;
      }
      return false;
    };
    await eventually(async () => !(await waiting()), { message: 'nobody of the crowd waits for a match' });
    await expectMatch(this.nodes, this.extras.splice(0, 2));
    this.crowd.queues = true;
  }

  /** Expects that what is said on a node is heard on all, whichever node that is. */
  async expectChat(): Promise<void> {
    const players = await this.enterQuietly(this.extras.splice(0, this.nodes.length), 0, false);
    for (const [i, { client }] of players.entries()) {
      const message = `hello from node ${i}`;
      client.send({ type: 'global_chat', payload: message });
      const hears = (player: Player) =>
        player.client.received.some(({ payload }) => Reflect.get(Object(payload), 'message') === message);
      await eventually(() => players.every(hears), {
        timeoutMs: HEARD_MS,
        message: `${message} is heard everywhere`,
      });
    }
    await Promise.all(players.map(({ client }) => client.close()));
  }

  /** Expects that a token that is revoked while it is used works on no node any more. */
  async expectRevocation(): Promise<void> {
    const [account] = this.extras.splice(0, 1) as [Account];
    const players = await this.enterQuietly(this.nodes.map(() => account));
    expect(await this.fleet.cli('logout', account.username, '--revoke-tokens')).toMatchObject({ code: 0 });
    for (const { client } of players) {
      expect(await client.next(HEARD_MS)).toEqual({ type: 'logged_out', payload: { reason: 'operator' } });
      expect(await tokenAuth(client, account.token)).toEqual({
        type: 'auth_error',
        payload: { message: 'Invalid or expired token' },
      });
      await client.close();
    }
  }

  /** With everybody still there, expects that chat and revocations reach every node; then sends everybody home and expects that all they saw is true; gives the log. */
  async end(options: Omit<TruthOptions, 'nodes'> = {}): Promise<LogEntry[]> {
    await this.everybodyPlays();
    await this.expectChat();
    await this.expectRevocation();
    await this.crowd.end();
    return expectTruth(this.fleet, this.crowd, { ...options, nodes: this.nodes });
  }

  async stop(): Promise<void> {
    for (const player of this.crowd?.players ?? []) player.isOver = true;
    await this.fleet.stop();
  }
}

const storms = new Set<Storm>();

beforeEach(() => {
  console.info(`SEED=${SEED}`);
});

/** Takes a test's deployment down, and then its Redis. */
export function tearDown(stopRedis: () => Promise<unknown> | undefined): void {
  afterEach(async () => {
    for (const storm of storms) await storm.stop();
    storms.clear();
    await stopRedis();
  });
}
