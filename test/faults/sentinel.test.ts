import { expect, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import type { RedisServer } from '../support/redis.js';
import { type SentinelDeployment, startSentinel } from '../support/sentinel.js';
import { LIMIT_MS, STEADY_LEASE, Storm, tearDown } from './harness/storm.js';

let deployment: SentinelDeployment;

tearDown(() => deployment?.stop());

/** How a master is lost, and how it comes back. */
const LOSSES: [
  how: string,
  lose: (master: RedisServer, sentinel: RedisServer) => Promise<void>,
  back: (master: RedisServer) => unknown,
][] = [
  [
    'is killed while the first Sentinel hangs',
    async (master, sentinel) => {
      await sentinel.pause();
      await master.kill('SIGKILL');
    },
    (master) => master.restart(),
  ],
  ['hangs', (master) => master.pause(), (master) => master.resume()],
];

it.each(LOSSES)(
  'with Sentinels, the master %s and its replica is promoted: nothing acknowledged is lost, nothing is doubled',
  async (_, lose, comesBack) => {
    deployment = await startSentinel();
    const storm = await Storm.begin(
      {
        REDIS_SENTINELS: deployment.sentinels,
        REDIS_MASTER: deployment.masterName,
        PARTITIONS: '4',
        WAIT_REPLICAS: '1',
        ...STEADY_LEASE,
      },
      deployment.client(),
    );
    const { master, replica, sentinelServers } = deployment;
    await lose(master, sentinelServers[0]!);
    await storm.readiness(false);
    // or a node may be sent to the old one, and renew its lease there
    const isPromoted = async () => (await deployment.currentMaster()) === replica;
    await eventually(isPromoted, { timeoutMs: 30_000, message: 'the replica is the master' });
    await comesBack(master); // until then there is no replica that could have anything
    await storm.readiness(true);
    await storm.everybodyPlays(2);
    await storm.expectMatch();
    const log = await storm.end();
    expect(log.filter(({ data }) => data.reason === 'node_lost')).toEqual([]);
  },
  LIMIT_MS,
);
