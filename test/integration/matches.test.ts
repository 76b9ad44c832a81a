import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join as joinPath } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Publisher } from '../../src/bus/publisher.js';
import { Presence } from '../../src/cluster/presence.js';
import { Reconciler } from '../../src/cluster/reconcile.js';
import { CommandRunner } from '../../src/game/command.js';
import { NoRoom } from '../../src/game/launcher.js';
import { LocalLauncher } from '../../src/game/local.js';
import { Ports } from '../../src/game/ports.js';
import type { Client } from '../../src/handlers/client.js';
import { joinQueueHandler } from '../../src/handlers/queue.js';
import { Host } from '../../src/matchmaking/host.js';
import { Matchmaker } from '../../src/matchmaking/matchmaker.js';
import { FormingPause } from '../../src/matchmaking/pause.js';
import { sessionsOf } from '../../src/operator/sessions.js';
import { Unavailable } from '../../src/redis/unavailable.js';
import { isLive } from '../../src/session/state.js';
import type { Plan } from '../../src/store/matches.js';
import { eventually } from '../support/eventually.js';
import { tempDir } from '../support/guardian.js';
import { clientOf, contextOf, leasesOf, SlowLog } from '../support/handling.js';
import { onFreePorts } from '../support/ports.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { NODE, type Player, Scene } from '../support/scene.js';

/** Ports for game servers. */
const RANGE = { from: 23_000, to: 23_099 };

describe('matches', () => {
  const logger = pino({ level: 'silent' });
  let redis: RedisServer;
  let scene: Scene;
  let dir: string;
  let hosts: Host[];

  beforeAll(async () => {
    redis = await startRedis();
  });

  beforeEach(async () => {
    scene = await Scene.open({ REDIS_URL: redis.url, PARTITIONS: '8' });
    dir = tempDir();
    hosts = [];
  });

  afterEach(async () => {
    await Promise.all(hosts.map((host) => host.close(true)));
    scene.close();
  });

  afterAll(() => redis?.stop());

  const matchmaker = (size = 2) =>
    new Matchmaker({ ...scene.deployment, size, isThere: async (node) => node === NODE });

  /** A worker's host of game servers that note their players, and run for a while. */
  function hostOf({ machine = 'here', worker = 'w1', range = RANGE, lostMs = 600_000 } = {}) {
    const { keys, redis: client } = scene.deployment;
    const runner = new CommandRunner(`echo "$PLAYERS_JSON" > ${dir}/$MATCH_ID; exec sleep 30`, process.env);
    const publisher = new Publisher(client, keys, logger);
    const ports = new Ports(client, keys, machine, range);
    const launcher = new LocalLauncher(machine, '127.0.0.1', ports, runner);
    const pause = new FormingPause(client, keys);
    const host = new Host({ ...scene.deployment, publisher, launcher, pause, worker, lostMs, logger });
    hosts.push(host);
    return { host, publisher, ports };
  }

  async function waiting(): Promise<Player & { id: string }> {
    const player = await scene.player();
    const id = await scene.begin(player);
    await scene.join(id);
    return { id, ...player };
  }

  async function formed(): Promise<string[]> {
    const matches: string[] = [];
    await matchmaker().formAll(async (match) => void matches.push(match));
    return matches;
  }

  async function playOf(id: string) {
    const { state } = await scene.deployment.sessions.load(id);
    return isLive(state) ? state.play : null;
  }

  /** Another worker finds a plan that is old. */
  async function sweepOf({ match }: Plan): Promise<void> {
    const { redis: client, keys } = scene.deployment;
    const partition = scene.partitionOf(match);
    await client.raw.zadd(keys.matchPlans(partition), 1, match);
    await matchmaker().sweep(partition);
  }

  const playersOf = (match: string) => JSON.parse(readFileSync(joinPath(dir, match), 'utf8'));

  it('are for who was told that he waits, also if he had been told before that he could not', async () => {
    const player = await scene.player();
    const id = await scene.begin(player);
    const log = new SlowLog(scene.deployment.committer);
    const context = await contextOf(scene, { log, commitTimeoutMs: 50 });
    const told: string[] = [];
    const client = await clientOf(scene, context, id, player, (frame) => told.push(JSON.parse(frame).type));
    const { handle } = joinQueueHandler(context);
    const ask = async () => handle(client, { type: 'join_queue' });

    // it has come through when he was told that it could not, and he has asked again
    await expect(ask()).rejects.toThrow(Unavailable);
    await eventually(async () => (await playOf(id)) !== null);
    log.isHoldingBack = false;
    await ask();
    expect(told).toEqual(['queued']);
    log.letGo();
    await delay(100); // of what must not happen nothing can be seen
    expect(await playOf(id)).toMatchObject({ status: 'waiting' });

    // it has come through, and he has not asked again
    await scene.leave(id);
    log.isHoldingBack = true;
    await expect(ask()).rejects.toThrow(Unavailable);
    await eventually(async () => (await playOf(id)) !== null);
    log.letGo();
    await eventually(async () => (await playOf(id)) === null);
  });

  it('find a place in line again for who waited on a node that was taken for lost and is back', async () => {
    const { deployment } = scene;
    const first = await waiting();
    const presence = new Presence<Client>();
    await clientOf(scene, { presence }, first.id, first);
    const play = await playOf(first.id);
    await scene.loseNode(first.id);
    expect(await playOf(first.id)).toBeNull();

    const leases = leasesOf(scene);
    const options = { ...deployment, node: NODE, presence, leases, logger, isBusy: () => false };
    const reconciler = new Reconciler(options);
    reconciler.request();
    await eventually(async () => (await playOf(first.id)) !== null);
    reconciler.close();
    expect(await playOf(first.id)).toEqual(play);
    await waiting();
    expect(await formed()).toHaveLength(1);
  });

  it('are of players whose nodes can tell them', async () => {
    for (let i = 0; i < 40; i++) await scene.join(await scene.begin(await scene.player(), 'gone'));
    const [one, other] = [await waiting(), await waiting()];
    const [match] = await formed();
    const { state } = await scene.deployment.matches.load(match!);
    expect(state).toMatchObject({ status: 'formed', players: [one.id, other.id] });
  });

  it('that another worker has given up have nobody, not even who was just being taken', async () => {
    const { matches } = scene.deployment;
    const [one, other] = [await waiting(), await waiting()];
    const plan = matches.plan.bind(matches);
    vi.spyOn(matches, 'plan').mockImplementationOnce(async (...args) => {
      const planned = await plan(...args);
      await sweepOf(planned!);
      return planned;
    });
    vi.spyOn(matches, 'form').mockRejectedValueOnce(new Error('the worker dies'));
    await formed().catch(() => {});
    for (const { id } of [one, other]) expect(await playOf(id)).toMatchObject({ status: 'waiting' });
    vi.restoreAllMocks();
    expect(await formed()).toHaveLength(1);
  });

  it('that another worker has given up give back whom they have already', async () => {
    const { accounts, matches } = scene.deployment;
    const [one, leaves, other] = [await waiting(), await waiting(), await waiting()];
    const plan = vi.spyOn(matches, 'plan');
    vi.spyOn(accounts, 'usernameOf').mockImplementationOnce(async () => {
      const planned = await plan.mock.results[0]!.value;
      await matches.plan(planned.match, planned.candidates, planned); // it is another's now
      return one.username;
    });
    const isThere = vi.fn(async () => {
      await scene.leave(leaves.id);
      return true;
    });
    await new Matchmaker({ ...scene.deployment, size: 2, isThere }).formAll(async () => {});
    expect(plan).toHaveBeenCalledTimes(3);
    for (const { id } of [one, other]) expect(await playOf(id)).toMatchObject({ status: 'waiting' });
    vi.restoreAllMocks();
  });

  it('have the names of their players, also of one whose token has ended, or who logs out before the launch', async () => {
    const [one, other] = [await waiting(), await waiting()];
    for (let i = 0; i < 3; i++) await scene.issueToken(one); // pushes the first one out
    expect(await sessionsOf(scene.deployment, one.accountId)).toMatchObject([{ username: one.username }]);
    const [match] = await formed();
    await scene.logOut(other.id);
    await hostOf().host.launch(match!);
    expect(playersOf(match!)).toEqual([one.username, other.username]);
    expect(await playOf(one.id)).toMatchObject({ status: 'matched', match });
  });

  const started = async (match: string) => {
    const { state } = await scene.deployment.matches.load(match);
    if (state.status !== 'started') throw new Error(`${match} is ${state.status}`);
    return state.server;
  };

  /** What has to be done with a match was left behind long ago. */
  async function leftBehind(match: string): Promise<void> {
    const { redis: client, keys } = scene.deployment;
    await client.raw.zadd(keys.pendingMatches(scene.partitionOf(match)), 'XX', 1, match);
  }

  const sweep = async ({ host }: ReturnType<typeof hostOf>, match: string) => {
    await host.sweep(scene.partitionOf(match), async () => {});
    await host.endUnwatched(scene.partitionOf(match));
  };

  it('are launched by another worker if the one that has formed them died before it could order that', async () => {
    await Promise.all([waiting(), waiting()]);
    await expect(matchmaker().formAll(() => Promise.reject(new Error('the worker dies')))).rejects.toThrow(
      'dies',
    );
    const { redis: client, keys, matches } = scene.deployment;
    const relaunched: string[] = [];
    const { host } = hostOf();
    for (let partition = 0; partition < keys.partitions; partition++) {
      await host.sweep(partition, async (match) => void relaunched.push(match)); // it may still be about to order it
      expect(relaunched).toEqual([]);
      for (const match of await matches.pending(partition, Number.POSITIVE_INFINITY)) await leftBehind(match);
      await host.sweep(partition, async (match) => void relaunched.push(match));
      if (relaunched.length > 0) break;
    }
    await host.launch(relaunched[0]!);
    await started(relaunched[0]!);
    expect(await client.raw.zcard(keys.pendingMatches(scene.partitionOf(relaunched[0]!)))).toBe(0);
  });

  it('are seen to although another one of their partition cannot be', async () => {
    await Promise.all([waiting(), waiting()]);
    const [match] = (await formed()) as [string];
    const { redis: client, keys } = scene.deployment;
    const partition = scene.partitionOf(match);
    const broken = `${match.slice(0, 3)}broken`;
    await client.raw.set(keys.match(partition, broken), '1 1 {');
    await client.raw.zadd(keys.pendingMatches(partition), 0, broken);
    await leftBehind(match);
    const relaunched: string[] = [];
    const sweeping = hostOf().host.sweep(partition, async (one) => void relaunched.push(one));
    await expect(sweeping).rejects.toThrow(SyntaxError);
    expect(relaunched).toEqual([match]);
  });

  it('that are launched twice at once have one game server, which keeps its port', async () => {
    await Promise.all([waiting(), waiting()]);
    const [match] = (await formed()) as [string];
    const [one, other] = [hostOf({ worker: 'w1' }), hostOf({ worker: 'w2' })];
    await Promise.all([one.host.launch(match), other.host.launch(match)]);
    const { port } = await started(match);
    expect(await one.ports.taken()).toMatchObject([{ match, port }]);
    await one.host.sweepScope();
    expect(await one.ports.taken()).toMatchObject([{ match, port }]);
  });

  it('get a port that no other program has, by TCP or UDP, and wait while there is none', async () => {
    await Promise.all([waiting(), waiting(), waiting(), waiting()]);
    const [first, second] = (await formed()) as [string, string];
    const tcp = createServer();
    const udp = createSocket('udp4');
    const from = await onFreePorts(1, async ([port]) => port!);
    await new Promise<void>((resolve) => tcp.listen(from, resolve));
    await new Promise<void>((resolve) => udp.bind(from + 1, resolve));
    const { host, ports } = hostOf({ range: { from, to: from + 2 } });
    await host.launch(first);
    expect((await started(first)).port).toBe(from + 2);
    await expect(host.launch(second)).rejects.toThrow(NoRoom);
    expect(await ports.taken()).toMatchObject([{ match: first, port: from + 2 }]);
    await new Promise<void>((resolve) => tcp.close(() => resolve()));
    await host.launch(second);
    expect((await started(second)).port).toBe(from);
    udp.close();
  });

  it('have no port any more that was taken by a worker that died, once it can’t be about to use it', async () => {
    await Promise.all([waiting(), waiting()]);
    const [match] = (await formed()) as [string];
    const { host, ports } = hostOf();
    const port = await ports.take(match);
    await host.sweepScope();
    expect(await ports.taken()).toMatchObject([{ match, port }]);
    const { redis: client, keys } = scene.deployment;
    await client.raw.hset(keys.ports('here'), String(port), `${match} 1`);
    await host.sweepScope();
    expect(await ports.taken()).toEqual([]);
  });

  it('are told to their players by another worker if the one that has started them could not', async () => {
    const players = [await waiting(), await waiting()];
    const [match] = (await formed()) as [string];
    const first = hostOf({ worker: 'w1' });
    vi.spyOn(first.publisher, 'deliver').mockRejectedValue(new Unavailable());
    await first.host.launch(match);

    const second = hostOf({ worker: 'w2' });
    const deliver = vi.spyOn(second.publisher, 'deliver');
    await sweep(second, match); // it may still be about to do it
    expect(deliver).not.toHaveBeenCalled();
    await leftBehind(match);
    await sweep(second, match);
    expect(deliver.mock.calls.map(([, ids]) => ids[0]).sort()).toEqual(players.map(({ id }) => id).sort());
    for (const [, , frame] of deliver.mock.calls) {
      expect(JSON.parse(frame)).toMatchObject({
        type: 'match_found',
        payload: { players: players.map(({ username }) => username) },
      });
    }
    await leftBehind(match);
    await sweep(second, match);
    expect(deliver).toHaveBeenCalledTimes(2);
  });

  it('that have failed are told to their players, who are in line again, by another worker if need be', async () => {
    const players = [await waiting(), await waiting()];
    const before = await Promise.all(players.map(({ id }) => playOf(id)));
    const [match] = (await formed()) as [string];
    const first = hostOf({ worker: 'w1' });
    vi.spyOn(first.publisher, 'deliver').mockRejectedValue(new Unavailable());
    await expect(first.host.giveUp(match)).rejects.toThrow(Unavailable);

    await leftBehind(match);
    const second = hostOf({ worker: 'w2' });
    const deliver = vi.spyOn(second.publisher, 'deliver');
    await sweep(second, match);
    expect(deliver.mock.calls.map(([, , frame]) => JSON.parse(frame).type)).toEqual([
      'match_error',
      'match_error',
    ]);
    expect(await Promise.all(players.map(({ id }) => playOf(id)))).toEqual(before);
    expect(await scene.deployment.matches.load(match)).toMatchObject({ state: { status: 'none' } });
  });

  it('of a machine that is gone are over, and the list of its ports goes by itself', async () => {
    await Promise.all([waiting(), waiting()]);
    const [match] = (await formed()) as [string];
    const gone = hostOf({ machine: 'gone' });
    await gone.host.launch(match);
    const other = hostOf({ worker: 'w2', lostMs: 1 });
    await sweep(other, match);
    await delay(5);
    await sweep(other, match); // it is watched over
    await started(match);

    const { server } = await started(match);
    await gone.host.close(false);
    const { redis: client, keys } = scene.deployment;
    await client.raw.del(keys.watch(match));
    await sweep(other, match);
    await delay(5);
    await sweep(other, match);
    expect(await scene.deployment.matches.load(match)).toMatchObject({ state: { status: 'none' } });
    expect(await client.raw.pttl(keys.ports('gone'))).toBeGreaterThan(0);
    process.kill(Number.parseInt(server, 10), 'SIGKILL');
  });

  it('are not formed for a while after one has failed, longer each time until one has started', async () => {
    const { redis: client, keys } = scene.deployment;
    const pause = new FormingPause(client, keys);
    const lengths: number[] = [];
    for (let i = 0; i < 7; i++) {
      await Promise.all([pause.begin(), pause.begin(), pause.begin()]); // they fail together
      expect(await pause.isOn()).toBe(true);
      lengths.push(Math.ceil((await client.raw.pttl(keys.formingPause())) / 1000));
      await client.raw.del(keys.formingPause());
    }
    expect(lengths).toEqual([1, 2, 4, 8, 16, 30, 30]);
    await pause.begin();
    await pause.end();
    expect(await pause.isOn()).toBe(false);
    await pause.begin();
    expect(await client.raw.pttl(keys.formingPause())).toBeLessThanOrEqual(1000);
  });
});
