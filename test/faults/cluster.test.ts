import { expect, it } from 'vitest';
import type { Environment } from '../support/cliProcess.js';
import { type RedisCluster, startCluster } from '../support/cluster.js';
import { eventually } from '../support/eventually.js';
import type { RedisServer } from '../support/redis.js';
import { moveSlots } from './harness/slots.js';
import { LIMIT_MS, Storm, tearDown } from './harness/storm.js';

const PARTITIONS = 16;

let cluster: RedisCluster;

tearDown(() => cluster?.stop());

function begin(env: Environment = {}): Promise<Storm> {
  const where = { REDIS_CLUSTER: cluster.addresses, PARTITIONS: `${PARTITIONS}`, WAIT_REPLICAS: '1' };
  return Storm.begin({ ...where, ...env }, cluster.client());
}

it(
  'on a Redis Cluster, a master is killed and its replica takes its place: nothing acknowledged is lost, nothing is doubled',
  async () => {
    cluster = await startCluster(3, 3);
    // no node is lost here: on a busy machine one may stand still for longer than the short leases of other tests
    const storm = await begin({ LEASE_SECONDS: '10' });
    await storm.again(async () => {
      const pair = storm.random.below(cluster.masters.length); // a different one is for leases, jobs and chat
      const [master, replica] = await rolesOf(cluster.masters[pair]!, cluster.replicas[pair]!);
      await master.kill('SIGKILL');
      await eventually(() => isMaster(replica), { timeoutMs: 30_000, message: 'the replica is a master' });
      // until the old one is back there is no replica that could have anything
      await storm.readiness(false, storm.nodes);
      await master.restart();
      await storm.readiness(true);
      await storm.everybodyPlays(2);
    });
    await storm.expectMatch();
    const log = await storm.end();
    expect(log.filter(({ data }) => data.reason === 'node_lost')).toEqual([]);
  },
  LIMIT_MS,
);

it(
  'on a Redis Cluster, slots move to another master, one of them with a large stream: everybody is answered, nothing is lost, doubled or half written',
  async () => {
    cluster = await startCluster(3, 3);
    const storm = await begin({ LEASE_SECONDS: '6' }); // Redis stands still while it moves the large one
    await growStream(storm.fleet.redis, 'large{0}');
    const partitions = Array.from({ length: PARTITIONS }, (_, partition) => `{${partition}}`);
    const startedAt = Date.now();
    const moved = await moveSlots(cluster, [...partitions, '{bus}', '{jobs}', '{nodes}', '{meta}']);
    expect(moved).toBe(PARTITIONS + 4);
    await storm.readiness(true);
    await storm.everybodyPlays(2);
    console.info(`While slots moved, an answer took ${storm.longestWait(startedAt)} ms at most`);
    await storm.expectMatch();
    const log = await storm.end({ nothingHangs: true });
    expect(log.filter(({ data }) => data.reason === 'node_lost')).toEqual([]);
  },
  LIMIT_MS,
);

async function rolesOf(
  one: RedisServer,
  other: RedisServer,
): Promise<[master: RedisServer, replica: RedisServer]> {
  return (await isMaster(one)) ? [one, other] : [other, one];
}

async function isMaster(server: RedisServer): Promise<boolean> {
  const client = server.client();
  const [role] = await client.role();
  client.disconnect();
  return role === 'master';
}

/** Fills a stream with some 30 MB. */
async function growStream(redis: Storm['fleet']['redis'], key: string): Promise<void> {
  const script = "for _ = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'd', ARGV[2]) end";
  for (let i = 0; i < 100; i += 1) await redis.eval(script, 1, key, 1000, 'x'.repeat(300));
}
