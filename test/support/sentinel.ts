import { Redis } from 'ioredis';
import { eventually } from './eventually.js';
import { onFreePorts } from './ports.js';
import { type RedisServer, startRedis, startSentinelOn } from './redis.js';

export interface SentinelDeployment {
  /** `127.0.0.1:<port>,…` of the three Sentinels. */
  readonly sentinels: string;
  readonly sentinelServers: readonly RedisServer[];
  readonly masterName: string;
  /** The server that was the master in the beginning, and its replica. */
  readonly master: RedisServer;
  readonly replica: RedisServer;
  /**
   * The server that the Sentinels that answer call the master now; null while they don't agree: a master that comes back by
   * then is taken for one by whoever asks the last of them, until they make it a replica.
   */
  currentMaster(): Promise<RedisServer | null>;
  /** Opens a connection to the current master, found by the Sentinels, that stop() closes. */
  client(): Redis;
  stop(): Promise<void>;
}

const MASTER_NAME = 'game';
const SENTINELS = 3;
const QUORUM = 2;
const DOWN_AFTER_MS = 1000;
const FAILOVER_TIMEOUT_MS = 3000;

/** How often Sentinels tell each other of themselves, in ms: usually, and in the beginning, when they wait for that. */
const HELLOS = ['publish-period', '2000'];
const HELLOS_SOON = ['publish-period', '50'];

/** A server that gives no answer for so long gives none, in ms. */
const ANSWER_MS = 1000;

/** Starts a master, a replica and three Sentinels on free ports, and waits until all of them know each other. */
export async function startSentinel(): Promise<SentinelDeployment> {
  const servers: RedisServer[] = [];
  const stopAll = () => Promise.all(servers.map((server) => server.stop()));
  try {
    // a master without its data that comes back before all Sentinels know better would be believed
    const master = await startRedis({ appendonly: true });
    servers.push(master);
    const replica = await startRedis({
      appendonly: true,
      args: ['--replicaof', '127.0.0.1', String(master.port)],
    });
    servers.push(replica);
    await eventually(
      async () => (await query(replica, ['INFO', 'replication'])).includes('master_link_status:up'),
      { message: 'replica is in step with its master' },
    );
    const sentinelServers: RedisServer[] = [];
    for (let i = 0; i < SENTINELS; i += 1) {
      const sentinel = await onFreePorts(1, ([port]) => startSentinelOn(port!, monitor(master.port)));
      sentinelServers.push(sentinel);
      servers.push(sentinel);
    }
    for (const sentinel of sentinelServers) await query(sentinel, ['SENTINEL', 'DEBUG', ...HELLOS_SOON]);
    await Promise.all(sentinelServers.map(knowsTheOthers));
    for (const sentinel of sentinelServers) await query(sentinel, ['SENTINEL', 'DEBUG', ...HELLOS]);
    return deployment(master, replica, sentinelServers, stopAll);
  } catch (error) {
    await stopAll();
    throw error;
  }
}

function deployment(
  master: RedisServer,
  replica: RedisServer,
  sentinelServers: readonly RedisServer[],
  stopAll: () => Promise<unknown>,
): SentinelDeployment {
  const clients: Redis[] = [];
  return {
    sentinels: sentinelServers.map(({ address }) => address).join(','),
    sentinelServers,
    masterName: MASTER_NAME,
    master,
    replica,
    async currentMaster() {
      const question = ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', MASTER_NAME];
      const answers = await Promise.allSettled(sentinelServers.map((sentinel) => query(sentinel, question)));
      const given = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
      const called = (server: RedisServer) => (answer: string) => answer.endsWith(`,${server.port}`);
      return [master, replica].find((server) => given.length > 0 && given.every(called(server))) ?? null;
    },
    client() {
      const client = new Redis({
        sentinels: sentinelServers.map(({ port }) => ({ host: '127.0.0.1', port })),
        name: MASTER_NAME,
        sentinelRetryStrategy: () => 50,
        sentinelCommandTimeout: 1000,
        retryStrategy: () => 50,
        maxRetriesPerRequest: null,
      });
      client.on('error', () => {}); // its commands tell
      clients.push(client);
      return client;
    },
    async stop() {
      for (const client of clients) client.disconnect();
      await stopAll();
    },
  };
}

function monitor(masterPort: number): string[] {
  return [
    `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${masterPort} ${QUORUM}`,
    `sentinel down-after-milliseconds ${MASTER_NAME} ${DOWN_AFTER_MS}`,
    `sentinel failover-timeout ${MASTER_NAME} ${FAILOVER_TIMEOUT_MS}`,
    `sentinel parallel-syncs ${MASTER_NAME} 1`,
  ];
}

/** Waits until a Sentinel sees the master up, its replica, and the other Sentinels; a failover needs all three. */
async function knowsTheOthers(sentinel: RedisServer): Promise<void> {
  const expected = `status=ok,address=`;
  const complete = `slaves=1,sentinels=${SENTINELS}`;
  await eventually(
    async () => {
      const info = await query(sentinel, ['INFO', 'sentinel']);
      return info.includes(expected) && info.includes(complete);
    },
    { timeoutMs: 20_000, intervalMs: 50, message: `Sentinel says ${expected}… ${complete}` },
  );
}

/** Asks a server one question over a connection of its own, and gives the answer as text. */
async function query(server: RedisServer, [command, ...args]: string[]): Promise<string> {
  const client = server.client({
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    enableReadyCheck: false,
    commandTimeout: ANSWER_MS,
  });
  try {
    return String(await client.call(command!, ...args));
  } finally {
    client.disconnect();
  }
}
