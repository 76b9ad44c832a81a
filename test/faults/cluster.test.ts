import { expect, it } from 'vitest';
import { type RedisCluster, startCluster } from '../support/cluster.js';
import { eventually } from '../support/eventually.js';
import { moveSlots } from './harness/slots.js';
import { LIMIT_MS, Storm, tearDown } from './harness/storm.js';

const PARTITIONS = 16;

let cluster: RedisCluster;

tearDown(() => cluster?.stop());

function begin(): Promise<Storm> {
  const env = { REDIS_CLUSTER: cluster.addresses, PARTITIONS: `${PARTITIONS}`, WAIT_REPLICAS: '1' };
  return Storm.begin(env, cluster.client());
}

it(
  'on a Redis Cluster, a master is killed and its replica takes its place: nothing acknowledged is lost, nothing is doubled',
  async () => {
    cluster = await startCluster(3, 3);
    const storm = await begin();
    const [master, replica] = [cluster.masters[0]!, cluster.replicas[0]!];
    await master.kill('SIGKILL');
    const redis = replica.client();
    const isPromoted = async () => (await redis.role())[0] === 'master';
    await eventually(isPromoted, { timeoutMs: 30_000, message: 'the replica is a master' });
    await master.restart(); // until then there is no replica that could have anything
    await storm.readiness(true);
    await storm.everybodyPlays(2);
    await storm.expectMatch();
    const log = await storm.end();
    expect(log.filter(({ data }) => data.reason === 'node_lost')).toEqual([]);
  },
  LIMIT_MS,
);

it(
  'on a Redis Cluster, slots move to another master: nothing is lost, doubled or half written',
  async () => {
    cluster = await startCluster(3, 3);
    const storm = await begin();
    const partitions = Array.from({ length: PARTITIONS }, (_, partition) => `{${partition}}`);
    const moved = await moveSlots(cluster, [...partitions, '{bus}', '{jobs}', '{nodes}', '{meta}']);
    expect(moved).toBe(PARTITIONS + 4);
    await storm.readiness(true);
    await storm.everybodyPlays(2);
    await storm.expectMatch();
    const log = await storm.end();
    expect(log.filter(({ data }) => data.reason === 'node_lost')).toEqual([]);
  },
  LIMIT_MS,
);
