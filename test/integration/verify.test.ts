import type { Cluster, Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { verifyDeployment } from '../../src/commands/verify.js';
import type { Keys } from '../../src/redis/keys.js';
import { type Verification, verify } from '../../src/store/verify.js';
import { type RedisCluster, startCluster } from '../support/cluster.js';
import { eventually } from '../support/eventually.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { type Player, Scene } from '../support/scene.js';

let server: RedisServer;
let cluster: RedisCluster;
const scenes: Scene[] = [];

beforeAll(async () => {
  [server, cluster] = await Promise.all([startRedis(), startCluster(3)]);
});
afterEach(() => {
  for (const scene of scenes.splice(0)) scene.close();
});
afterAll(async () => {
  await Promise.all([server.stop(), cluster.stop()]);
});

const deployments = [
  { name: 'a single Redis', env: () => ({ REDIS_URL: server.url, PARTITIONS: '1' }) },
  { name: 'a Cluster', env: () => ({ REDIS_CLUSTER: cluster.addresses, PARTITIONS: '8' }) },
];

describe.each(deployments)('verify on $name', ({ env }) => {
  it('finds nothing in an empty deployment', async () => {
    expect(await verified(await open(env()))).toEqual({
      events: 0,
      subjects: 0,
      differences: [],
      unjudged: { trimmed: 0, unknown: 0, credentials: 0 },
    });
  });

  it('agrees with a healthy state', async () => {
    const scene = await open(env());
    for (let i = 0; i < 20; i++) {
      const player = await scene.player();
      await scene.begin(player);
      await scene.detach(await scene.begin(player));
      await scene.play(player);
    }
    expect(await verified(scene)).toEqual({
      events: 20 * (2 + 1 + 2 + 4),
      subjects: 20 * 4,
      differences: [],
      unjudged: { trimmed: 0, unknown: 0, credentials: 20 },
    });
  });

  it('agrees with a healthy state while commits go on', async () => {
    const scene = await open(env());
    const crowd = await busy(scene);
    const results: Verification[] = [];
    for (let i = 0; i < 5; i++) {
      results.push(await verified(scene));
      await crowd.goesOn();
    }
    await crowd.leave();
    expect(results.flatMap(({ differences }) => differences)).toEqual([]);
    expect(results[4]!.events).toBeGreaterThan(results[0]!.events);
    expect((await verified(scene)).differences).toEqual([]);
  });

  it('agrees with a healthy state while commits go on and the log is trimmed', async () => {
    const scene = await open(env());
    const { redis, keys } = scene.deployment;
    const crowd = await busy(scene);
    const results: Verification[] = [];
    for (let i = 0; i < 5; i++) {
      let isOver = false;
      const trimming = (async () => {
        for (let partition = 0; !isOver; partition = (partition + 1) % keys.partitions) {
          await redis.raw.xtrim(keys.log(partition), 'MAXLEN', 50);
          await crowd.goesOn();
        }
      })();
      results.push(await verified(scene));
      isOver = true;
      await trimming;
    }
    await crowd.leave();
    expect(results.flatMap(({ differences }) => differences)).toEqual([]);
    expect(results[4]!.unjudged.trimmed).toBeGreaterThan(0);
  });

  it('finds what differs while commits go on', async () => {
    const scene = await open(env());
    const { redis, keys, partition, player, attached, detached } = await setUp(scene);
    const crowd = await busy(scene);
    await redis.hdel(keys.sessions(partition, player.accountId), attached);
    await redis.zincrby(keys.detached(partition), 1, detached);
    const found = await problems(scene);
    await crowd.leave();
    expect(found.length).toBe(3);
    for (const problem of found) expect(problem).toMatch(new RegExp(`${attached}|${detached}`));
  });

  it('does not judge what was trimmed, but goes on judging the rest', async () => {
    const scene = await open(env());
    const old = await scene.player();
    const lasting = await scene.begin(old);
    await scene.begin(old);
    const { keys, redis } = scene.deployment;
    const log = keys.log(scene.partitionOf(old.accountId));
    await scene.detach(lasting);
    await redis.raw.xtrim(log, 'MAXLEN', 1);
    const result = await verified(scene);
    expect(result).toMatchObject({ events: 1, differences: [], unjudged: { trimmed: 3, credentials: 1 } });

    const fresh = await scene.begin(old);
    expect((await verified(scene)).unjudged.trimmed).toBe(3);
    await redis.raw.hdel(keys.sessions(scene.partitionOf(fresh), old.accountId), fresh);
    expect(await problems(scene)).toContainEqual(expect.stringContaining(`${fresh} is not stored`));
  });
});

interface Place {
  readonly scene: Scene;
  readonly redis: Redis | Cluster;
  readonly keys: Keys;
  readonly partition: number;
  readonly player: Player;
  readonly attached: string;
  readonly detached: string;
  readonly ended: string;
}

/** What is planted, and what `verify` must say then. */
const plants: readonly [
  name: string,
  plant: (place: Place) => Promise<unknown>,
  (place: Place) => string[],
][] = [
  [
    'a session record that was changed',
    ({ redis, keys, partition, player, attached }) =>
      edit(redis, keys.sessions(partition, player.accountId), attached, (record) =>
        record.replace('"n1', '"n2'),
      ),
    ({ attached }) => [`${attached} is stored as attached to connection 1 of n2`],
  ],
  [
    'a session record of another version',
    ({ redis, keys, partition, player, attached }) =>
      edit(redis, keys.sessions(partition, player.accountId), attached, (record) =>
        record.replace('1 ', '2 '),
      ),
    ({ attached }) => [`${attached} is stored at version 2; the log is at version 1`],
  ],
  [
    'a session record of another time',
    ({ redis, keys, partition, player, attached }) =>
      edit(redis, keys.sessions(partition, player.accountId), attached, (record) =>
        record.replace(/ \d+ /, ' 1700000000000 '),
      ),
    ({ attached }) => [`${attached} was stored at 2023-11-14`],
  ],
  [
    'a session record that cannot be read',
    ({ redis, keys, partition, player, attached }) =>
      edit(redis, keys.sessions(partition, player.accountId), attached, (record) => record.slice(0, -5)),
    ({ attached }) => [`${attached} is stored as unreadable`],
  ],
  [
    'a session record that is missing',
    ({ redis, keys, partition, player, attached }) =>
      redis.hdel(keys.sessions(partition, player.accountId), attached),
    ({ attached }) => [`${attached} is not stored`, `${attached} has no business in`],
  ],
  [
    'a record of an ended session',
    async ({ redis, keys, partition, player, attached, ended }) => {
      const key = keys.sessions(partition, player.accountId);
      await redis.hset(key, ended, (await redis.hget(key, attached))!);
    },
    ({ ended }) => [`${ended} is stored at version 1; the log is at version 4`],
  ],
  [
    'a session that the log does not know',
    async ({ redis, keys, partition, player, attached }) => {
      const key = keys.sessions(partition, player.accountId);
      await redis.hset(key, unknownSession(player), (await redis.hget(key, attached))!);
    },
    ({ player }) => [`${unknownSession(player)} is stored at version 1, the log has no event of it`],
  ],
  [
    "a session in another account's hash",
    async ({ redis, keys, partition, player, attached }) => {
      const stored = await redis.hget(keys.sessions(partition, player.accountId), attached);
      await redis.hset(keys.sessions(partition, 'aAAAA'), attached, stored!);
    },
    ({ attached }) => [`${attached} has no business in`],
  ],
  [
    'an account record that was changed',
    ({ redis, keys, partition, player }) =>
      edit(redis, keys.account(partition, player.accountId), null, (record) =>
        record.replace(/\[\[.*\]\]/, '[]'),
      ),
    ({ player }) => [
      `${player.accountId} is stored as registered with no token`,
      `${player.token} is no token of`,
    ],
  ],
  [
    'an account record that is missing',
    ({ redis, keys, partition, player }) => redis.del(keys.account(partition, player.accountId)),
    ({ player }) => [`${player.accountId} is not stored`],
  ],
  [
    'an account that the log does not know',
    async ({ redis, keys, partition, player }) =>
      redis.copy(keys.account(partition, player.accountId), keys.account(partition, unknownAccount(player))),
    ({ player }) => [`${unknownAccount(player)} is stored at version 2, the log has no event of it`],
  ],
  [
    'a token record that is missing',
    ({ redis, keys, partition, player }) => redis.del(keys.token(partition, player.token)),
    ({ player }) => [`${player.token}, a token of ${player.accountId}, is not stored`],
  ],
  [
    'a token record of another account',
    ({ redis, keys, partition, player }) =>
      edit(redis, keys.token(partition, player.token), null, (record) =>
        record.replace(player.accountId, unknownAccount(player)),
      ),
    ({ player }) => [`${player.token} is stored as`, `${player.token} is no token of`],
  ],
  [
    'a token record that nobody issued',
    ({ redis, keys, partition, player }) =>
      redis.copy(keys.token(partition, player.token), keys.token(partition, 'x'.repeat(22))),
    () => [`${'x'.repeat(22)} is no token of`],
  ],
  [
    'a token record that says its account was disabled',
    ({ redis, keys, partition, player }) =>
      edit(redis, keys.token(partition, player.token), null, (record) => record.replace(/\]$/, ',1]')),
    ({ player }) => [`${player.token} is stored as`, `${player.token} is no token of`],
  ],
  [
    'a token record that never expires',
    ({ redis, keys, partition, player }) => redis.persist(keys.token(partition, player.token)),
    ({ player }) => [`${player.token} expires at -1`],
  ],
  [
    "a session missing in its node's set",
    async ({ redis, keys, partition, attached, scene }) =>
      redis.srem(keys.nodeSessions(partition, await nodeOf(scene, attached)), attached),
    ({ attached }) => [`${attached} is missing in`],
  ],
  [
    "a detached session in a node's set",
    async ({ redis, keys, partition, detached, scene }) =>
      redis.sadd(keys.nodeSessions(partition, await nodeOf(scene, detached)), detached),
    ({ detached }) => [`${detached} has no business in`],
  ],
  [
    'what is no session in a set of a node that nobody knows',
    ({ redis, keys, partition }) => redis.sadd(keys.nodeSessions(partition, 'n7'), 'stranger'),
    () => ['stranger has no business in'],
  ],
  [
    'a node missing in the set of nodes',
    async ({ redis, keys, partition, attached, scene }) =>
      redis.srem(keys.nodes(partition), await nodeOf(scene, attached)),
    () => ['is missing in'],
  ],
  [
    'a session missing among the detached',
    ({ redis, keys, partition, detached }) => redis.zrem(keys.detached(partition), detached),
    ({ detached }) => [`${detached} has no place in`],
  ],
  [
    'a session of the wrong time among the detached',
    ({ redis, keys, partition, detached }) => redis.zincrby(keys.detached(partition), 1, detached),
    ({ detached }) => [`${detached} has`],
  ],
  [
    'an attached session among the detached',
    ({ redis, keys, partition, attached }) => redis.zadd(keys.detached(partition), 1, attached),
    ({ attached }) => [`${attached} has no business in`],
  ],
  [
    'an event that was doubled',
    async ({ redis, keys, partition, detached }) => {
      const entry = await entryOf(redis, keys.log(partition), detached, 2);
      await redis.xadd(keys.log(partition), '*', ...entry[1]);
    },
    ({ detached }) => [`${detached} version 2 follows on version 2`],
  ],
  [
    'the end of a session that was doubled',
    async ({ redis, keys, partition, ended }) => {
      const entry = await entryOf(redis, keys.log(partition), ended, 4);
      await redis.xadd(keys.log(partition), '*', ...entry[1]);
    },
    ({ ended }) => [`${ended} version 4 follows on version 4`],
  ],
  [
    'an event deleted from the middle',
    async ({ redis, keys, partition, ended }) =>
      redis.xdel(keys.log(partition), (await entryOf(redis, keys.log(partition), ended, 2))[0]),
    ({ ended }) => ['was deleted from the log', `${ended} version 3 follows on version 1`],
  ],
  [
    'an event that is not in the state',
    ({ redis, keys, partition, attached }) => {
      return redis.xadd(
        keys.log(partition),
        '*',
        'e',
        `session.detached ${attached} 2 n1 {"reason":"closed"}`,
      );
    },
    ({ attached }) => [`${attached} is stored at version 1; the log is at version 2`],
  ],
  [
    'an event that cannot follow',
    ({ redis, keys, partition, detached }) => {
      return redis.xadd(
        keys.log(partition),
        '*',
        'e',
        `session.detached ${detached} 3 n1 {"reason":"closed"}`,
      );
    },
    ({ detached }) => [`${detached} session.detached cannot follow on status detached`],
  ],
  [
    'an event with data that are not valid',
    ({ redis, keys, partition, attached }) => {
      return redis.xadd(
        keys.log(partition),
        '*',
        'e',
        `session.detached ${attached} 2 n1 {"reason":"bored"}`,
      );
    },
    ({ attached }) => [`${attached} the data of session.detached are not valid`],
  ],
];

describe.each(deployments)('verify on $name reports', ({ env }) => {
  it.each(plants)('%s', async (_, plant, expected) => {
    const scene = await open(env());
    const place = await setUp(scene);
    await plant(place);
    const found = await problems(scene);
    for (const text of expected(place)) expect(found).toContainEqual(expect.stringContaining(text));
    expect(await verifyDeployment({ ...scene.deployment, print: () => {} })).toBe(1);
  });
});

describe('verify', () => {
  it('takes a token that has expired for what it is', async () => {
    const scene = await open(deployments[0]!.env());
    const player = await scene.player();
    const { redis, keys } = scene.deployment;
    const token = await scene.issueToken(player, 1);
    const key = keys.token(scene.partitionOf(player.accountId), token);
    await eventually(async () => (await redis.raw.exists(key)) === 0);
    expect(await problems(scene)).toEqual([]);
  });

  it('does not judge a subject with events of a newer release', async () => {
    const scene = await open(deployments[0]!.env());
    const { redis, keys, partition, attached, detached } = await setUp(scene);
    const plant = async (type: string, subject: string, version: number) => {
      const id = await redis.xadd(keys.log(partition), '*', 'e', `${type} ${subject} ${version} n1 {}`);
      await edit(redis, keys.sessions(partition, accountOf(subject)), subject, (record) =>
        record.replace(/^\d+ \d+/, `${version} ${id!.split('-')[0]}`),
      );
    };
    await plant('session.promoted', attached, 2);
    await plant('session.resumed@2', detached, 3);
    await redis.zadd(keys.detached(partition), await scoreOf(scene, detached), detached);
    expect(await verified(scene)).toMatchObject({ differences: [], unjudged: { unknown: 2 } });
  });

  it('takes what begins late in a log that was never trimmed for a difference', async () => {
    const scene = await open(deployments[0]!.env());
    const { redis, keys, partition, player } = await setUp(scene);
    const event = `session.expired ${unknownSession(player)} 3 n1 {}`;
    await redis.xadd(keys.log(partition), '*', 'e', event);
    expect(await problems(scene)).toEqual([
      expect.stringContaining(`${unknownSession(player)} begins with a later version than 1`),
    ]);
  });

  it('prints what differs, a summary and what it cannot judge', async () => {
    const scene = await open(deployments[0]!.env());
    const { redis, keys, partition, attached } = await setUp(scene);
    const lines: string[] = [];
    const print = (line: string) => lines.push(line);
    expect(await verifyDeployment({ ...scene.deployment, print })).toBe(0);
    expect(lines).toEqual([
      '9 events, 4 sessions and accounts, 1 partition: nothing differs',
      'not judged: 1 credential record (credentials are not in the log)',
    ]);
    lines.length = 0;
    await redis.zadd(keys.detached(partition), 1, attached);
    expect(await verifyDeployment({ ...scene.deployment, print })).toBe(1);
    expect(lines.slice(0, 2)).toEqual([
      `partition 0: ${attached} has no business in ${keys.detached(0)}`,
      '9 events, 4 sessions and accounts, 1 partition: 1 difference',
    ]);
  });

  it('reads many pages', async () => {
    const scene = await open(deployments[0]!.env());
    const players = await Promise.all(Array.from({ length: 1500 }, () => scene.player()));
    await Promise.all(players.map((player) => scene.begin(player)));
    await Promise.all(players.slice(0, 1200).map((player) => scene.play(player)));
    const crowd = players[0]!;
    await Promise.all(Array.from({ length: 1100 }, () => scene.begin(crowd)));
    expect(await verified(scene)).toMatchObject({
      events: 1500 * 3 + 1200 * 4 + 1100,
      differences: [],
      unjudged: { trimmed: 0, unknown: 0 },
    });
  });
});

async function open(env: Record<string, string>): Promise<Scene> {
  const scene = await Scene.open(env);
  scenes.push(scene);
  return scene;
}

async function verified({ deployment }: Scene): Promise<Verification> {
  return verify(deployment.redis, deployment.keys);
}

async function problems(scene: Scene): Promise<string[]> {
  return (await verified(scene)).differences.map(({ problem }) => problem);
}

/** A player with a session of each status. */
async function setUp(scene: Scene): Promise<Place> {
  const { redis, keys } = scene.deployment;
  const player = await scene.player();
  const attached = await scene.begin(player);
  const detached = await scene.begin(player);
  await scene.detach(detached);
  const ended = await scene.begin(player);
  await scene.detach(ended);
  await scene.resume(ended);
  await scene.logOut(ended);
  const partition = scene.partitionOf(player.accountId);
  return { scene, redis: redis.raw, keys, partition, player, attached, detached, ended };
}

/** Players who log in and out all the time. */
async function busy(scene: Scene) {
  const players = await Promise.all(Array.from({ length: 40 }, () => scene.player()));
  let isOver = false;
  let played = 0;
  const playing = players.map(async (player) => {
    while (!isOver) {
      const stays = await scene.begin(player);
      await scene.play(player);
      await scene.issueToken(player);
      await scene.detach(stays);
      await scene.resume(stays);
      await scene.detach(stays);
      if (played % 3 !== 0) await scene.logOut(stays);
      played += 1;
    }
  });
  return {
    /** Waits until somebody has played again. */
    async goesOn() {
      const before = played;
      await eventually(() => played > before);
    },
    async leave() {
      isOver = true;
      await Promise.all(playing);
    },
  };
}

async function edit(
  redis: Redis | Cluster,
  key: string,
  field: string | null,
  change: (record: string) => string,
): Promise<void> {
  const before = field === null ? await redis.get(key) : await redis.hget(key, field);
  const after = change(before!);
  expect(after).not.toBe(before);
  if (field === null) await redis.set(key, after, 'KEEPTTL');
  else await redis.hset(key, field, after);
}

async function entryOf(
  redis: Redis | Cluster,
  log: string,
  subject: string,
  version: number,
): Promise<[id: string, fields: string[]]> {
  const entries = await redis.xrange(log, '-', '+');
  return entries.find(([, [, event]]) => event!.includes(` ${subject} ${version} `))!;
}

/** The time of a session's record, in ms. */
async function scoreOf({ deployment }: Scene, session: string): Promise<number> {
  const { state } = await deployment.sessions.load(session);
  if (state.status !== 'attached' && state.status !== 'detached') throw new Error(`it is ${state.status}`);
  return state.since;
}

async function nodeOf({ deployment }: Scene, session: string): Promise<string> {
  const { state } = await deployment.sessions.load(session);
  if (state.status !== 'attached' && state.status !== 'detached') throw new Error(`it is ${state.status}`);
  return state.attachment.node;
}

function accountOf(session: string): string {
  return `a${session.slice(1, 17)}`;
}

function unknownSession({ accountId }: Player): string {
  return `s${accountId.slice(1)}unknown_`;
}

function unknownAccount({ accountId }: Player): string {
  return `${accountId.slice(0, -4)}none`;
}
