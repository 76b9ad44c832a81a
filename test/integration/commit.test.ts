import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Committer, CommitterClosed, type CommitterOptions } from '../../src/log/committer.js';
import {
  type CommitResult,
  NO_KEY,
  NO_RECORD,
  type Operation,
  parseRecord,
} from '../../src/log/operation.js';
import { connectRedis, type RedisClient } from '../../src/redis/client.js';
import { Keys } from '../../src/redis/keys.js';
import { Unavailable } from '../../src/redis/unavailable.js';
import { readLog } from '../support/log.js';
import { uniquePrefix } from '../support/prefix.js';
import { startProxy, type TcpProxy } from '../support/proxy.js';
import { type RedisServer, startRedis } from '../support/redis.js';

const CUTS = 100;

const logger = pino({ level: 'silent' });

describe('the committer', () => {
  let redis: RedisServer;
  let keys: Keys;
  const open: (() => unknown)[] = [];

  beforeAll(async () => {
    redis = await startRedis();
  });

  beforeEach(() => {
    keys = new Keys(uniquePrefix(), 1);
  });

  afterEach(() => {
    for (const close of open.splice(0)) close();
  });

  afterAll(() => redis?.stop());

  async function connected(url = redis.url): Promise<RedisClient> {
    const client = connectRedis(
      { kind: 'single', url, tls: false },
      { name: 'test', logger, silenceTimeoutMs: 2000 },
    );
    open.push(() => client.close());
    await client.ready(5000);
    return client;
  }

  async function committer(options: Partial<CommitterOptions> & { url?: string } = {}): Promise<Committer> {
    const { url, ...rest } = options;
    const made = new Committer({
      redis: await connected(url),
      keys,
      node: `n-${Math.random()}`,
      logger,
      ...rest,
    });
    open.push(() => made.close(0));
    return made;
  }

  const keyOf = (subject: string) => keys.account(0, subject);

  /** Takes a subject from one version to the next, with an event and a record. */
  function step(subject: string, from: number, body = ''): Operation {
    const key = keyOf(subject);
    return {
      partition: 0,
      checks: [{ key, version: from }],
      events: [{ type: 'test.stepped', subject, version: from + 1, data: { body } }],
      writes: [['put', key, '', from + 1, body, 0]],
    };
  }

  const log = () => readLog(redis.client(), { prefix: keys.prefix, partitions: 1 });
  const stored = async (key: string) => parseRecord(await redis.client().get(key));

  it('records events and writes records, at the time of Redis', async () => {
    const log1 = await committer();
    const result = await log1.commit(step('a', 0, 'body with spaces'));
    const [seconds] = await redis.client().time();
    expect(result.committed && Math.abs(result.at / 1000 - Number(seconds))).toBeLessThan(60);
    expect(await stored(keyOf('a'))).toEqual({
      version: 1,
      at: result.committed && result.at,
      body: 'body with spaces',
    });
    expect(await log()).toMatchObject([{ type: 'test.stepped', subject: 'a', version: 1 }]);
  });

  it('groups what is ready, keeps the order of each subject, and refuses only what must be', async () => {
    const sizes: number[] = [];
    const observer = { committed: (operations: number) => void sizes.push(operations) };
    const log1 = await committer({ observer });
    const operations = Array.from({ length: 300 }, (_, i) => step(`s${i % 100}`, Math.floor(i / 100)));
    operations.splice(150, 0, step('s0', 7));
    const results = await Promise.all(operations.map((operation) => log1.commit(operation)));
    expect(results.filter(({ committed }) => !committed)).toEqual([
      { committed: false, check: 0, found: expect.objectContaining({ version: 2 }) },
    ]);
    expect(sizes.length).toBeLessThanOrEqual(4);
    const entries = await log();
    expect(entries.length).toBe(300);
    for (let i = 0; i < 100; i += 1) {
      const versions = entries.filter(({ subject }) => subject === `s${i}`).map(({ version }) => version);
      expect(versions).toEqual([1, 2, 3]);
    }
  });

  it('tells a record from another one of the same version by the time of its commit', async () => {
    const log1 = await committer();
    const first = await log1.commit(step('a', 0, 'lost'));
    await redis.client().del(keyOf('a')); // as a power failure may do
    await delay(2);
    const second = await log1.commit(step('a', 0, 'of somebody else'));
    const nextAfter = (result: CommitResult): Operation => {
      if (!result.committed) throw new Error('it was refused');
      return { ...step('a', 1), checks: [{ key: keyOf('a'), version: 1, at: result.at }] };
    };
    expect(await log1.commit(nextAfter(first))).toMatchObject({
      committed: false,
      found: { version: 1, body: 'of somebody else' },
    });
    expect(await log1.commit(nextAfter(second))).toMatchObject({ committed: true });
  });

  it('does nothing of an operation if one of its checks fails, and says which', async () => {
    const log1 = await committer();
    await log1.commit(step('a', 0));
    const both: Operation = {
      partition: 0,
      checks: [
        { key: keyOf('b'), version: NO_RECORD },
        { key: keyOf('a'), version: 5 },
      ],
      events: step('b', 0).events,
      writes: step('b', 0).writes,
    };
    expect(await log1.commit(both)).toMatchObject({ committed: false, check: 1, found: { version: 1 } });
    expect(await stored(keyOf('b'))).toBeNull();
    expect((await log()).length).toBe(1);
  });

  it('sees, within a batch, what earlier operations of it are going to write', async () => {
    const log1 = await committer();
    const deletion: Operation = {
      partition: 0,
      checks: [{ key: keyOf('a'), version: 1 }],
      events: [],
      writes: [['delete', keyOf('a'), '']],
    };
    const results = await Promise.all([
      log1.commit(step('a', 0)),
      log1.commit(step('a', 0)),
      log1.commit(deletion),
      log1.commit(step('a', 0)),
    ]);
    expect(results.map(({ committed }) => committed)).toEqual([true, false, true, true]);
  });

  it('knows every write', async () => {
    const log1 = await committer();
    const client = redis.client();
    const [hash, set, ranks, note] = ['h', 's', 'z', 'n'].map((name) => keys.account(0, name)) as [
      string,
      string,
      string,
      string,
    ];
    const write = (writes: Operation['writes']) =>
      log1.commit({ partition: 0, checks: [], events: [], writes });
    const result = await write([
      ['put', hash, 'f', 3, '{"a":"ü 🦀"}', 0],
      ['add', set, 'x'],
      ['add', set, 'y'],
      ['add', set, 'z'],
      ['remove', set, 'z'],
      ['rank', ranks, 'now'],
      ['place', ranks, 'there', 1_700_000_000_123],
      ['note', note, 'operator', 100],
      ['stamp', hash, 'used'],
    ]);
    const at = result.committed ? result.at : 0;
    expect(parseRecord(await client.hget(hash, 'f'))).toEqual({ version: 3, at, body: '{"a":"ü 🦀"}' });
    expect((await client.smembers(set)).toSorted()).toEqual(['x', 'y']);
    expect(await client.zrange(ranks, 0, '-1', 'WITHSCORES')).toEqual([
      'there',
      '1700000000123',
      'now',
      `${at}`,
    ]);
    expect(await client.hget(hash, 'used')).toBe(`${at}`);
    expect(await client.get(note)).toBe('operator');
    expect(await client.ttl(note)).toBeGreaterThan(90);

    const isGone: Operation['checks'] = [{ key: hash, version: NO_KEY }];
    const check = { partition: 0, checks: isGone, events: [], writes: [] };
    expect(await log1.commit(check)).toEqual({ committed: false, check: 0, found: null });
    await write([
      ['delete', hash, 'f'],
      ['delete', hash, 'used'],
      ['remove', set, 'x'],
      ['remove', set, 'y'],
      ['unrank', ranks, 'now'],
      ['unrank', ranks, 'there'],
    ]);
    expect(await client.exists(hash, set, ranks)).toBe(0);
    expect((await log1.commit(check)).committed).toBe(true);
  });

  it('lets records expire', async () => {
    const log1 = await committer();
    const expiresAt = Date.now() + 3_600_000;
    await log1.commit({
      partition: 0,
      checks: [],
      events: [],
      writes: [['put', keyOf('a'), '', 1, '', expiresAt]],
    });
    expect(await redis.client().pexpiretime(keyOf('a'))).toBe(expiresAt);
    const lanes = await redis.client().keys(`${keys.prefix}*lane*`);
    expect(lanes.length).toBeGreaterThan(0);
    for (const lane of lanes) expect(await redis.client().ttl(lane)).toBeGreaterThan(3600);
  });

  it('records everything once, and knows what became of it, when 100 answers are lost', async () => {
    const proxy: TcpProxy = await startProxy({ host: '127.0.0.1', port: redis.port });
    open.push(() => proxy.stop());
    const log1 = await committer({ url: `redis://127.0.0.1:${proxy.port}` });
    const isBatch = (request: Buffer) => /evalsha/i.test(request.toString('latin1'));
    proxy.cutOnReply(() => true, { after: isBatch, times: CUTS });
    let committed = 0;
    let refused = 0;
    let versions = 0;
    const play = async (subject: string) => {
      for (let version = 0; proxy.repliesCut < CUTS; version += 1) {
        // two want the same: one gets it
        const pair = [step(subject, version, 'one'), step(subject, version, 'two')];
        const results = await Promise.all(pair.map((operation) => log1.commit(operation)));
        expect(results.map((result) => result.committed)).toEqual([true, false]);
        committed += 1;
        refused += 1;
        versions += 1;
        expect(await stored(keyOf(subject))).toMatchObject({ version: version + 1, body: 'one' });
      }
    };
    await Promise.all(['a', 'b', 'c'].map(play));
    expect(proxy.repliesCut).toBe(CUTS);
    expect(refused).toBe(committed);
    const entries = await log();
    expect(entries.length).toBe(versions);
    for (const subject of ['a', 'b', 'c']) {
      const own = entries.filter((entry) => entry.subject === subject).map(({ version }) => version);
      expect(own).toEqual(own.map((_, i) => i + 1));
    }
  });

  it('goes on when Redis has forgotten the script', async () => {
    const log1 = await committer();
    await log1.commit(step('a', 0));
    await redis.client().script('FLUSH');
    expect((await log1.commit(step('a', 1))).committed).toBe(true);
    expect((await log()).length).toBe(2);
  });

  it('takes back what has not been sent in time, and says what came through too late', async () => {
    const proxy = await startProxy({ host: '127.0.0.1', port: redis.port });
    open.push(() => proxy.stop());
    const url = `redis://127.0.0.1:${proxy.port}`;
    const log1 = await committer({ url, lanes: 1, groupSize: 1 });
    const late: string[] = [];
    const within = (subject: string, timeoutMs: number) =>
      log1.commit(step(subject, 0), { timeoutMs, late: () => late.push(subject) });
    proxy.pause();
    const sent = expect(within('a', 100)).rejects.toBeInstanceOf(Unavailable);
    await expect.poll(() => log1.oldestBatchMs).toBeGreaterThan(0);
    const waiting = expect(within('b', 100)).rejects.toBeInstanceOf(Unavailable);
    const patient = within('c', 60_000);
    await Promise.all([sent, waiting]);
    expect(log1.backlog).toBe(2);
    proxy.resume();
    expect((await patient).committed).toBe(true);
    expect(await log1.flush(5000)).toBe(true);
    expect((await log()).map(({ subject }) => subject)).toEqual(['a', 'c']);
    expect(late).toEqual(['a']);
  });

  it('flushes when it closes, and takes nothing then', async () => {
    const log1 = await committer();
    const results = [log1.commit(step('a', 0)), log1.commit(step('b', 0))];
    expect(log1.backlog).toBe(2);
    expect(await log1.close(5000)).toBe(true);
    expect((await Promise.all(results)).every(({ committed }) => committed)).toBe(true);
    await expect(log1.commit(step('c', 0))).rejects.toBeInstanceOf(CommitterClosed);
  });

  it('says so when it closes with something left', async () => {
    const proxy = await startProxy({ host: '127.0.0.1', port: redis.port });
    open.push(() => proxy.stop());
    const log1 = await committer({ url: `redis://127.0.0.1:${proxy.port}` });
    proxy.pause();
    const lost = log1.commit(step('a', 0));
    lost.catch(() => {});
    expect(await log1.close(100)).toBe(false);
    proxy.cut();
    await expect(lost).rejects.toThrow();
  });

  it('does not count what too few replicas have', async () => {
    const log1 = await committer({ waitReplicas: 1 });
    let isDone = false;
    const result = log1.commit(step('a', 0)).then((answer) => {
      isDone = true;
      return answer;
    });
    await expect.poll(async () => (await log()).length).toBe(1); // the master has it
    expect(isDone).toBe(false);
    const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(redis.port)] });
    open.push(() => replica.stop());
    expect((await result).committed).toBe(true);
    expect(await replica.client().get(keyOf('a'))).toMatch(/^1 /);
    expect((await log()).length).toBe(1);
  });

  it('fails a batch that Redis refuses for good, and goes on with the next', async () => {
    const log1 = await committer();
    await redis.client().set(keys.log(0), 'no stream');
    await expect(log1.commit(step('a', 0))).rejects.toThrow('WRONGTYPE');
    await redis.client().del(keys.log(0));
    expect((await log1.commit(step('b', 0))).committed).toBe(true);
  });

  it.each(['srem', 'zadd', 'zrem', 'sadd'])(
    'has recorded what it says once, if the user has no right to %s: what is tried again is refused',
    async (command) => {
      const client = redis.client();
      await client.call('ACL', 'SETUSER', 'clerk', 'on', '>secret', '~*', '+@all', `-${command}`);
      const log1 = await committer({ url: `redis://clerk:secret@${redis.address}` });
      const [set, ranks] = [keys.account(0, 's'), keys.account(0, 'z')];
      const operation: Operation = {
        ...step('a', 0),
        writes: [
          ['remove', set, 'x'],
          ['rank', ranks, 'x'],
          ['unrank', ranks, 'x'],
          ['add', set, 'y'],
          ...step('a', 0).writes,
        ],
      };
      await expect(log1.commit(operation)).rejects.toThrow(/can't run this command|NOPERM/);
      expect(await log1.commit(operation)).toMatchObject({ committed: false, found: { version: 1 } });
      expect((await log()).length).toBe(1);
    },
  );

  it('goes on after the last event when the clock of Redis was set back', async () => {
    const ahead = Date.now() + 3_600_000;
    await redis.client().xadd(keys.log(0), `${ahead}-7`, 'e', 'x x 1 n {}');
    const log1 = await committer();
    const results = await Promise.all([log1.commit(step('a', 0)), log1.commit(step('b', 0))]);
    for (const result of results) expect(result).toEqual({ committed: true, at: ahead });
    expect(await stored(keyOf('a'))).toMatchObject({ at: ahead });
    expect((await log()).length).toBe(3);
  });
});
