import { readFileSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Publisher } from '../../src/bus/publisher.js';
import { CommandLauncher } from '../../src/game/command.js';
import { Ports } from '../../src/game/ports.js';
import { Host } from '../../src/matchmaking/host.js';
import { Matchmaker } from '../../src/matchmaking/matchmaker.js';
import { sessionsOf } from '../../src/operator/sessions.js';
import { isLive } from '../../src/session/state.js';
import { tempDir } from '../support/guardian.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { Scene } from '../support/scene.js';

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

  const matchmaker = (size = 2) => new Matchmaker({ ...scene.deployment, size });

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

  async function waiting(): Promise<{ id: string; username: string; accountId: string }> {
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

  const playersOf = (match: string) => JSON.parse(readFileSync(joinPath(dir, match), 'utf8'));

  it('have the names of their players, also of one whose token has ended, or who logs out before the launch', async () => {
    const [one, other] = [await waiting(), await waiting()];
    for (let i = 0; i < 3; i++) await scene.issueToken({ ...one, token: '' }); // pushes the first one out
    expect(await sessionsOf(scene.deployment, one.accountId)).toMatchObject([{ username: one.username }]);
    const [match] = await formed();
    await scene.logOut(other.id);
    await hostOf().launch(match!);
    expect(playersOf(match!)).toEqual([one.username, other.username]);
    expect(await playOf(one.id)).toMatchObject({ status: 'matched', match });
  });
});
