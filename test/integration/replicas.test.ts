import keySlot from 'cluster-key-slot';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Committer } from '../../src/log/committer.js';
import { connectRedis, type RedisClient } from '../../src/redis/client.js';
import { Keys } from '../../src/redis/keys.js';
import { type RedisCluster, startCluster } from '../support/cluster.js';
import { eventually } from '../support/eventually.js';
import { readLog } from '../support/log.js';
import { uniquePrefix } from '../support/prefix.js';

const logger = pino({ level: 'silent' });

let cluster: RedisCluster;
let client: RedisClient;

beforeAll(async () => {
  cluster = await startCluster(2, 2);
  const nodes = cluster.masters.map(({ port }) => ({ host: '127.0.0.1', port }));
  client = connectRedis(
    { kind: 'cluster', nodes, tls: false },
    { name: 'test', logger, silenceTimeoutMs: 0 },
  );
  await client.ready(10_000);
});

afterAll(async () => {
  client?.close();
  await cluster?.stop();
});

it('a commit in a slot that is on its way counts when a replica of its new master has it', async () => {
  const keys = new Keys(uniquePrefix(), 1);
  const slot = keySlot(keys.log(0));
  const from = slot < 8192 ? 0 : 1;
  const heir = cluster.masters[1 - from]!;
  const [source, target] = [cluster.masters[from]!.client(), heir.client()];
  const replica = cluster.replicas[1 - from]!;
  const [sourceId, targetId] = await Promise.all(
    [source, target].map(async (master) => String(await master.call('CLUSTER', 'MYID'))),
  );

  let retries = 0;
  const countRetries = () => {
    retries += 1;
  };
  const warnings = pino({ level: 'warn' }, { write: countRetries });
  const committer = new Committer({
    redis: client,
    keys,
    node: 'n',
    logger: warnings,
    lanes: 1,
    waitReplicas: 1,
  });
  const event = { type: 'test.happened', subject: 's', version: 1, data: {} };
  const operation = { partition: 0, checks: [], events: [event], writes: [] };
  expect((await committer.commit(operation)).committed).toBe(true);

  await target.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', sourceId!);
  await source.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', targetId!);
  const moved = (await source.call('CLUSTER', 'GETKEYSINSLOT', slot, 10)) as string[];
  await source.call('MIGRATE', '127.0.0.1', heir.port, '', 0, 5000, 'KEYS', ...moved);
  expect((await committer.commit(operation)).committed).toBe(true);
  expect(retries).toBe(0);

  await replica.pause();
  let isCommitted = false;
  const result = committer.commit(operation).then(({ committed }) => {
    isCommitted = committed;
  });
  await eventually(() => retries > 0 || isCommitted);
  expect(isCommitted).toBe(false);
  replica.resume();
  await result;
  expect(isCommitted).toBe(true);
  await committer.close(0);

  for (const master of [target, source]) await master.call('CLUSTER', 'SETSLOT', slot, 'NODE', targetId!);
  expect(await readLog(target, { prefix: keys.prefix, partitions: 1 })).toHaveLength(3);
});
