import { readFileSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Publisher } from '../../src/bus/publisher.js';
import { Presence } from '../../src/cluster/presence.js';
import { Reconciler } from '../../src/cluster/reconcile.js';
import { CommandLauncher } from '../../src/game/command.js';
import { Ports } from '../../src/game/ports.js';
import type { Client } from '../../src/handlers/client.js';
import { joinQueueHandler } from '../../src/handlers/queue.js';
import { Host } from '../../src/matchmaking/host.js';
import { Matchmaker } from '../../src/matchmaking/matchmaker.js';
import { sessionsOf } from '../../src/operator/sessions.js';
import { Unavailable } from '../../src/redis/unavailable.js';
import { isLive } from '../../src/session/state.js';
import type { Plan } from '../../src/store/matches.js';
import { eventually } from '../support/eventually.js';
import { tempDir } from '../support/guardian.js';
import { clientOf, contextOf, leasesOf, SlowLog } from '../support/handling.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { NODE, type Player, Scene } from '../support/scene.js';

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

  /** A host of game servers that note their players, and run for a while. */
  function hostOf({ machine = 'here', worker = 'w1', ports = { from: 23_000, to: 23_099 } } = {}): Host {
    const { keys, redis: client } = scene.deployment;
    const host = new Host({
      ...scene.deployment,
      publisher: new Publisher(client, keys, logger),
      launcher: new CommandLauncher(`echo "$PLAYERS_JSON" > ${dir}/$MATCH_ID; exec sleep 30`, process.env),
      ports: new Ports(client, keys, machine, ports),
      worker,
      machine,
      address: '127.0.0.1',
      logger,
    });
    hosts.push(host);
    return host;
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
    await hostOf().launch(match!);
    expect(playersOf(match!)).toEqual([one.username, other.username]);
    expect(await playOf(one.id)).toMatchObject({ status: 'matched', match });
  });
});
