import type { Environment } from './cliProcess.js';
import { startCluster } from './cluster.js';
import type { Fleet } from './fleet.js';
import { type RedisServer, startRedis } from './redis.js';
import { startSentinel } from './sentinel.js';

/** A Redis of some form, and how nodes are told of it. */
export interface Backend {
  readonly env: Environment;
  client(): Fleet['redis'];
  /** The one server that everything is on, for outages; other forms have none, and are broken in test/faults/. */
  readonly server?: RedisServer;
  stop(): Promise<void>;
}

/** A form of Redis; `$name` in the title of a `describe.each`. */
export interface BackendForm {
  readonly name: string;
  readonly start: () => Promise<Backend>;
}

export const SINGLE: BackendForm = {
  name: 'a single Redis',
  async start() {
    const server = await startRedis({ appendonly: true });
    return {
      env: { REDIS_URL: server.url },
      client: () => server.client(),
      server,
      stop: () => server.stop(),
    };
  },
};

export const CLUSTER: BackendForm = {
  name: 'a Redis Cluster',
  async start() {
    const cluster = await startCluster(3);
    return {
      env: { REDIS_CLUSTER: cluster.addresses, PARTITIONS: '8' },
      client: () => cluster.client(),
      stop: () => cluster.stop(),
    };
  },
};

export const SENTINELS: BackendForm = {
  name: 'Redis with Sentinels',
  async start() {
    const deployment = await startSentinel();
    return {
      env: { REDIS_SENTINELS: deployment.sentinels, REDIS_MASTER: deployment.masterName },
      client: () => deployment.client(),
      stop: () => deployment.stop(),
    };
  },
};

/** All forms of Redis: what clients see is the same with each. */
export const FORMS = [SINGLE, CLUSTER, SENTINELS] as const;

/** What a single Redis may be, how that begins, and how it ends. */
export const OUTAGES: readonly [
  name: string,
  begin: (server: RedisServer) => Promise<void>,
  end: (server: RedisServer) => Promise<void>,
][] = [
  ['stopped', (server) => server.kill('SIGTERM'), (server) => server.start()],
  ['hanging', (server) => server.pause(), async (server) => server.resume()],
];
