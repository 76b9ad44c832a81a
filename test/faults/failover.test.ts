import { afterEach, expect, it } from 'vitest';
import { connect } from '../support/client.js';
import type { Environment } from '../support/cliProcess.js';
import { startCluster } from '../support/cluster.js';
import { logout, tokenAuth } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { Fleet } from '../support/fleet.js';
import { countByType } from '../support/log.js';
import { startSentinel } from '../support/sentinel.js';
import { BusyPlayer, logoutsOf, PATIENCE_MS } from './busyPlayer.js';

const STEADY = 100;
const BUSY = 20;

interface Backend {
  readonly env: Environment;
  client(): Fleet['redis'];
  /** Loses a master, waits until its replica has taken its place, and brings it back as a replica. */
  failOver(): Promise<void>;
  stop(): Promise<void>;
}

const BACKENDS: readonly (readonly [string, () => Promise<Backend>])[] = [
  [
    'Redis with Sentinels',
    async () => {
      const deployment = await startSentinel();
      return {
        env: { REDIS_SENTINELS: deployment.sentinels, REDIS_MASTER: deployment.masterName },
        client: () => deployment.client(),
        async failOver() {
          const { master, replica } = deployment;
          await master.kill('SIGKILL');
          await eventually(async () => (await deployment.currentMaster()) === replica, {
            timeoutMs: PATIENCE_MS,
          });
          await master.restart();
        },
        stop: () => deployment.stop(),
      };
    },
  ],
  [
    'a Redis Cluster',
    async () => {
      const cluster = await startCluster(3, 3);
      return {
        env: { REDIS_CLUSTER: cluster.addresses, PARTITIONS: '8' },
        client: () => cluster.client(),
        async failOver() {
          const [master, replica] = [cluster.masters[0]!, cluster.replicas[0]!];
          await master.kill('SIGKILL');
          const redis = replica.client();
          await eventually(async () => (await redis.role())[0] === 'master', { timeoutMs: PATIENCE_MS });
          await master.restart();
        },
        stop: () => cluster.stop(),
      };
    },
  ],
];

let backend: Backend;
let fleet: Fleet;

afterEach(async () => {
  await fleet?.stop();
  await backend?.stop();
});

it.each(BACKENDS)(
  '%s loses a master under load: nothing acknowledged is lost, nothing is doubled',
  async (_, start) => {
    backend = await start();
    fleet = new Fleet({ ...backend.env, WAIT_REPLICAS: '1' }, backend.client());
    const [a, b] = await Promise.all([fleet.serve(), fleet.serve(), fleet.work()]);
    const accounts = await fleet.seed(STEADY + BUSY);
    const nodeOf = (i: number) => (i % 2 === 0 ? a : b);
    const steady = await Promise.all(
      accounts.splice(0, STEADY).map(async ({ token }, i) => {
        const client = await connect(nodeOf(i).wsUrl);
        expect(await tokenAuth(client, token)).toMatchObject({ type: 'auth_success' });
        return client;
      }),
    );
    const busy = accounts.map((account, i) => new BusyPlayer(nodeOf(i), account));
    const playing = Promise.all(busy.map((player) => player.play()));
    const eachPlayed = async (rounds: number) => {
      const before = busy.map(({ loggedOut }) => loggedOut);
      await eventually(() => busy.every(({ loggedOut }, i) => loggedOut >= before[i]! + rounds), {
        timeoutMs: PATIENCE_MS,
        message: `each player has logged out ${rounds} times more`,
      });
    };
    await eachPlayed(5);
    await backend.failOver();
    await eachPlayed(5);
    for (const player of busy) player.isOver = true;
    await playing;
    for (const client of steady) expect(await logout(client)).toEqual({ type: 'logged_out' });
    await fleet.untilNobodyIsAttached();

    const log = await fleet.expectConsistent();
    expect(log.filter(({ data }) => data.reason === 'node_lost')).toEqual([]);
    expect(countByType(log)['session.logged_out']).toBe(STEADY + logoutsOf(busy));
  },
);
