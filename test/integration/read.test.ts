import { PassThrough, Writable } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type PrintEventsRequest, printEvents } from '../../src/commands/events.js';
import { compileCloudEventValidator } from '../../src/contract/validators.js';
import type { Event } from '../../src/log/entry.js';
import { followLog } from '../../src/log/follow.js';
import { Followers } from '../../src/log/followers.js';
import { compareEvents } from '../../src/log/merge.js';
import { readLog } from '../../src/log/read.js';
import type { RedisClient } from '../../src/redis/client.js';
import { type RedisCluster, startCluster } from '../support/cluster.js';
import { eventually } from '../support/eventually.js';
import { readLog as readPlainly } from '../support/log.js';
import { startProxy, type TcpProxy } from '../support/proxy.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { Scene } from '../support/scene.js';

let server: RedisServer;
let cluster: RedisCluster;
const cleanups: (() => unknown)[] = [];

beforeAll(async () => {
  [server, cluster] = await Promise.all([startRedis(), startCluster(3)]);
});
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});
afterAll(async () => {
  await Promise.all([server.stop(), cluster.stop()]);
});

const deployments = [
  { name: 'a single Redis', env: () => ({ REDIS_URL: server.url, PARTITIONS: '4' }) },
  { name: 'a Cluster', env: () => ({ REDIS_CLUSTER: cluster.addresses, PARTITIONS: '8' }) },
];

describe.each(deployments)('on $name', ({ env }) => {
  it('reads the log of each partition in its order, over many pages, and from any entry', async () => {
    const scene = await open(env());
    await playAll(scene, 40);
    const { redis, keys } = scene.deployment;
    const expected = await logOf(scene);
    expect(expected.length).toBe(40 * 6);
    const found: Event[] = [];
    for (let partition = 0; partition < keys.partitions; partition++) {
      for await (const event of readLog(redis, keys, partition, { pageSize: 7 })) found.push(event);
    }
    expect(found.map(({ time, ...event }) => event)).toEqual(expected);
    expect(found.every(({ time, id }) => id.startsWith(`${time}-`))).toBe(true);

    const middle = found.find(({ version }) => version === 3)!;
    const own = found.filter(({ partition }) => partition === middle.partition);
    const after: Event[] = [];
    for await (const event of readLog(redis, keys, middle.partition, { from: middle.id })) after.push(event);
    expect(after).toEqual(own.slice(own.indexOf(middle) + 1));
  });

  it('follows all partitions from where it is told, with what was there and what comes', async () => {
    const scene = await open(env());
    await playAll(scene, 20);
    const before = await logOf(scene);
    const start = new Map<number, string>();
    for (let partition = 0; partition < scene.deployment.keys.partitions; partition++) {
      start.set(partition, before.find((entry) => entry.partition === partition)?.id ?? '0-0');
    }
    const follower = follow(scene, start);
    await playAll(scene, 20);
    const expected = (await logOf(scene)).filter(({ partition, id }) => start.get(partition) !== id);
    await eventually(() => expect(follower.ids().sort()).toEqual(expected.map(nameOf).sort()));
    expect(inOrder(follower.events)).toBe(true);
    await follower.end();
    expect(follower.ids().length).toBe(expected.length);
  });

  it('hears at once of what is recorded after a silence', async () => {
    const scene = await open(env());
    const follower = follow(scene);
    const player = await scene.player();
    await eventually(() => follower.events.length === 2);
    const session = await scene.begin(player);
    await eventually(() => follower.events.at(-1)?.subject === session, { timeoutMs: 900 });
    await follower.end();
  });

  it('ends at once by the signal, and closes its connections', async () => {
    const scene = await open(env());
    await scene.player();
    const follower = follow(scene);
    await eventually(() => follower.events.length === 2);
    expect(follower.connections.size).toBe(scene.deployment.redis.isCluster ? 8 : 1);
    const begun = performance.now();
    await follower.end();
    expect(performance.now() - begun).toBeLessThan(800);
    await eventually(() => follower.connections.size === 0);
  });

  it('ends at once when it has only begun', async () => {
    const scene = await open(env());
    for (const turns of [0, 1, 5]) {
      const follower = follow(scene);
      for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate);
      await follower.end();
    }
  });

  it('closes its connections when nobody wants more events', async () => {
    const scene = await open(env());
    await scene.player();
    const { connect, open: openOnes } = counted(scene);
    const { signal } = new AbortController();
    const { keys } = scene.deployment;
    for await (const event of followLog({ connect, keys, positions: start(scene), signal })) {
      expect(event.type).toBe('account.registered');
      expect(openOnes.size).toBeGreaterThan(0);
      break;
    }
    await eventually(() => openOnes.size === 0);
  });

  it('prints history by time, as valid CloudEvents', async () => {
    const scene = await open(env());
    await playAll(scene, 20);
    const lines = await printed(scene, {});
    const validate = compileCloudEventValidator();
    for (const line of lines) expect(validate(line), JSON.stringify(validate.errors)).toBe(true);
    const times = lines.map(({ time }) => time);
    expect(times).toEqual([...times].sort());
    expect(lines.map(({ id }) => id).sort()).toEqual((await logOf(scene)).map(nameOf).sort());
  });

  it('prints what was asked for', async () => {
    const scene = await open(env());
    const player = await scene.player();
    await playAll(scene, 5);
    const session = await scene.begin(player);
    await scene.detach(session);
    const all = await printed(scene, {});

    const ofType = await printed(scene, { type: 'session.logged_out' });
    expect(ofType.map(({ type }) => type)).toEqual(Array(5).fill('session.logged_out'));
    const ofSubject = await printed(scene, { subject: session });
    expect(ofSubject.map(({ type }) => type)).toEqual(['session.started', 'session.detached']);
    expect(await printed(scene, { subject: session, type: 'session.detached' })).toEqual([ofSubject[1]]);

    expect(await printed(scene, { since: '1h' })).toEqual(all);
    const middle = all[12]!;
    expect(await printed(scene, { since: middle.id })).toEqual(all.slice(13));
    expect(await printed(scene, { since: middle.time })).toEqual(
      all.filter(({ time }) => time >= middle.time),
    );
    expect(await printed(scene, { since: '2999-01-01' })).toEqual([]);
  });

  it('goes over from history to live without a gap or a double', async () => {
    const scene = await open(env());
    await playAll(scene, 10);
    const out = new PassThrough();
    const stop = new AbortController();
    let isOver = false;
    const playing = (async () => {
      while (!isOver) await playAll(scene, 5);
    })();
    const lines = collect(out);
    const printing = printEvents({
      ...scene.deployment,
      options: { follow: true },
      out,
      signal: stop.signal,
    });
    await eventually(() => lines.length > 400);
    isOver = true;
    await playing;
    const expected = (await logOf(scene)).map(nameOf).sort();
    await eventually(() => expect(lines.map(({ id }) => id).sort()).toEqual(expected));
    stop.abort();
    await printing;
  });
});

describe('while Redis comes and goes', () => {
  it('loses and doubles nothing when its connections break', async () => {
    const scene = await open(deployments[0]!.env());
    const proxy = await startProxy({ host: '127.0.0.1', port: server.port });
    cleanups.push(() => proxy.stop());
    const follower = follow(await through(scene, proxy), start(scene));
    let isOver = false;
    let played = 0;
    const playing = (async () => {
      while (!isOver) {
        await playAll(scene, 4);
        played += 1;
      }
    })();
    for (let cut = 0; cut < 20; cut++) {
      const before = played;
      if (cut % 3 === 0) proxy.dropNextReply();
      else proxy.cut(cut % 3 === 1 ? 'rst' : 'fin');
      await eventually(() => played > before + 1);
      await eventually(() => proxy.connections > 0);
    }
    isOver = true;
    await playing;
    const expected = (await logOf(scene)).map(nameOf).sort();
    await eventually(() => expect(follower.ids().sort()).toEqual(expected));
    expect(inOrder(follower.events)).toBe(true);
    await follower.end();
  });

  it('finds a connection that is open but dead', async () => {
    const scene = await open(deployments[0]!.env());
    const proxy = await startProxy({ host: '127.0.0.1', port: server.port });
    cleanups.push(() => proxy.stop());
    const follower = follow(await through(scene, proxy), start(scene));
    const player = await scene.player();
    await eventually(() => follower.events.length === 2);
    const { accepted } = proxy;
    proxy.pause('toClient');
    await scene.begin(player);
    await eventually(() => proxy.accepted > accepted, { message: 'it connects again' });
    proxy.resume('toClient');
    await eventually(() => follower.events.length === 3);
    await follower.end();
    expect(follower.ids()).toEqual((await logOf(scene)).map(nameOf));
  });

  it('waits for Redis to come back, and goes on where it was', async () => {
    const own = await startRedis({ appendonly: true });
    cleanups.push(() => own.stop());
    const scene = await open({ REDIS_URL: own.url, PARTITIONS: '2' });
    const follower = follow(scene);
    await playAll(scene, 5);
    await eventually(() => follower.events.length === 5 * 6);
    await own.kill('SIGTERM');
    await own.restart();
    await eventually(() => scene.deployment.redis.isReady);
    await playAll(scene, 5);
    await eventually(() => follower.events.length >= 10 * 6);
    expect(follower.ids().sort()).toEqual((await logOf(scene)).map(nameOf).sort());
    await follower.end();
  });

  it('says so when the log cannot be read', async () => {
    const scene = await open(deployments[0]!.env());
    const { redis, keys } = scene.deployment;
    await redis.raw.set(keys.log(0), 'no stream');
    const follower = follow(scene);
    await expect(follower.ended).rejects.toThrow('The log cannot be read: WRONGTYPE');
  });
});

describe('printing', () => {
  it('goes no faster than its lines are read', async () => {
    const scene = await open(deployments[0]!.env());
    await playAll(scene, 50);
    const out = new PassThrough({ highWaterMark: 1024 });
    const { signal } = new AbortController();
    let isDone = false;
    const printing = printEvents({ ...scene.deployment, options: {}, out, signal }).then(() => {
      isDone = true;
    });
    await eventually(() => out.writableNeedDrain);
    expect(out.writableLength + out.readableLength).toBeLessThan(4096);
    expect(isDone).toBe(false);
    const lines = collect(out);
    await printing;
    await eventually(() => lines.length === 50 * 6);
  });

  it.each([false, true])('ends quietly when nobody reads any more (follow: %s)', async (follow) => {
    const scene = await open(deployments[0]!.env());
    await playAll(scene, 5);
    let taken = 0;
    const out = new Writable({
      write(_chunk, _encoding, done) {
        taken += 1;
        done(taken < 3 ? null : Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
      },
    });
    const { signal } = new AbortController();
    await printEvents({ ...scene.deployment, options: { follow }, out, signal });
    expect(taken).toBe(3);
  });

  it('fails when its output does', async () => {
    const scene = await open(deployments[0]!.env());
    await playAll(scene, 5);
    const out = new Writable({ write: (_chunk, _encoding, done) => done(new Error('disk full')) });
    const { signal } = new AbortController();
    const printing = printEvents({ ...scene.deployment, options: {}, out, signal });
    await expect(printing).rejects.toThrow('disk full');
  });

  it('is ended by the signal while its output is stuck', async () => {
    const scene = await open(deployments[0]!.env());
    await playAll(scene, 5);
    const out = new PassThrough({ highWaterMark: 1 });
    const stop = new AbortController();
    const printing = printEvents({
      ...scene.deployment,
      options: { follow: true },
      out,
      signal: stop.signal,
    });
    await eventually(() => out.writableNeedDrain);
    stop.abort();
    await printing;
  });

  it('goes on where a follower with a name has come to, and says how far it is behind', async () => {
    const scene = await open(deployments[0]!.env());
    const { redis, keys } = scene.deployment;
    const followers = new Followers(redis, keys);
    await playAll(scene, 10);
    const first = await printed(scene, { as: 'billing' });
    expect(first.length).toBe(10 * 6);
    expect(await followers.lags()).toEqual([{ follower: 'billing', seconds: 0 }]);
    expect(await printed(scene, { as: 'billing' })).toEqual([]);

    await playAll(scene, 5);
    const [lag] = await followers.lags();
    expect(lag!.seconds).toBeGreaterThan(0);
    const stop = new AbortController();
    const out = new PassThrough();
    const lines = collect(out);
    const options = { follow: true, as: 'billing', since: '1h' };
    const printing = printEvents({ ...scene.deployment, options, out, signal: stop.signal });
    await eventually(() => lines.length === 5 * 6);
    await eventually(async () =>
      expect(await followers.lags()).toEqual([{ follower: 'billing', seconds: 0 }]),
    );
    stop.abort();
    await printing;
    expect(await printed(scene, { as: 'other', since: lines[0]!.id })).toHaveLength(5 * 6 - 1);
    expect(await followers.forget('other')).toBe(true);
    expect(await followers.forget('other')).toBe(false);
  });

  it('repeats at most, and leaves nothing out, when a follower with a name is killed', async () => {
    const scene = await open(deployments[0]!.env());
    await playAll(scene, 10);
    const stuck = new PassThrough({ highWaterMark: 1 });
    const killed = printEvents({
      ...scene.deployment,
      options: { follow: true, as: 'billing' },
      out: stuck,
      signal: new AbortController().signal,
    });
    void killed.catch(() => {});
    await eventually(() => stuck.writableNeedDrain);
    const rest = await printed(scene, { as: 'billing' });
    expect(rest.length).toBeGreaterThanOrEqual(10 * 6 - 2);
  });

  it('tells a follower with a name that events were trimmed which it has not read', async () => {
    const scene = await open(deployments[0]!.env());
    const { redis, keys } = scene.deployment;
    await playAll(scene, 2);
    await printed(scene, { as: 'billing' });
    await playAll(scene, 2);
    for (let partition = 0; partition < keys.partitions; partition += 1) {
      await redis.raw.xtrim(keys.log(partition), 'MAXLEN', 0);
    }
    const warnings: string[] = [];
    const { signal } = new AbortController();
    const request = { ...scene.deployment, options: { as: 'billing' }, out: new PassThrough(), signal };
    await printEvents({ ...request, warn: (sentence) => warnings.push(sentence) });
    expect(warnings).toEqual([expect.stringContaining('billing has not read')]);
  });

  it('says what is wrong with --since', async () => {
    const scene = await open(deployments[0]!.env());
    await expect(printed(scene, { since: 'tomorrow' })).rejects.toThrow('"tomorrow" is not a time');
  });
});

type Line = { readonly id: string; readonly type: string; readonly subject: string; readonly time: string };

async function open(env: Record<string, string>): Promise<Scene> {
  const scene = await Scene.open(env);
  cleanups.push(() => scene.close());
  return scene;
}

/** The same scene, seen through a proxy. */
async function through(scene: Scene, proxy: TcpProxy): Promise<Scene> {
  const env = {
    REDIS_URL: `redis://127.0.0.1:${proxy.port}`,
    KEY_PREFIX: scene.prefix,
    PARTITIONS: `${scene.deployment.keys.partitions}`,
  };
  return open(env);
}

/** New players who each play a session from beginning to end: 6 events each. */
async function playAll(scene: Scene, players: number): Promise<void> {
  await Promise.all(Array.from({ length: players }, async () => scene.play(await scene.player())));
}

function logOf({ deployment, prefix }: Scene) {
  return readPlainly(deployment.redis.raw, { prefix, partitions: deployment.keys.partitions });
}

function nameOf({ partition, id }: { partition: number; id: string }): string {
  return `${partition}:${id}`;
}

function start({ deployment }: Scene): Map<number, string> {
  return new Map(Array.from({ length: deployment.keys.partitions }, (_, partition) => [partition, '0-0']));
}

/** Opens connections, and keeps account of those that are open. */
function counted({ deployment }: Scene) {
  const open = new Set<RedisClient>();
  const connect: typeof deployment.connect = (name, options) => {
    const client = deployment.connect(name, options);
    open.add(client);
    client.raw.once('end', () => open.delete(client));
    return client;
  };
  return { connect, open };
}

function follow(scene: Scene, positions = start(scene)) {
  const { keys } = scene.deployment;
  const { connect, open: connections } = counted(scene);
  const events: Event[] = [];
  const stop = new AbortController();
  const ended = (async () => {
    for await (const event of followLog({ connect, keys, positions, signal: stop.signal })) {
      events.push(event);
    }
  })();
  return {
    events,
    ended,
    ids: () => events.map(nameOf),
    connections,
    end: () => {
      stop.abort();
      return ended;
    },
  };
}

/** Whether the events of each partition are in their order. */
function inOrder(events: readonly Event[]): boolean {
  const last = new Map<number, Event>();
  return events.every((event) => {
    const before = last.get(event.partition);
    last.set(event.partition, event);
    return !before || compareEvents(before, event) < 0;
  });
}

function collect(out: PassThrough): Line[] {
  const lines: Line[] = [];
  let rest = '';
  out.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop()!;
    lines.push(...parts.map((line) => JSON.parse(line) as Line));
  });
  return lines;
}

async function printed({ deployment }: Scene, options: PrintEventsRequest['options']): Promise<Line[]> {
  const out = new PassThrough();
  const lines = collect(out);
  const { signal } = new AbortController();
  await printEvents({ ...deployment, options, out, signal });
  out.end();
  await new Promise((resolve) => out.once('end', resolve));
  return lines;
}
