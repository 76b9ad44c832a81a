import { Cluster, type Redis } from 'ioredis';
import { eventually } from './eventually.js';
import { onFreePorts } from './ports.js';
import { type RedisServer, startRedisOn } from './redis.js';

export interface RedisCluster {
  /** All servers: the masters by their slots, then the replicas (replica i is of master i mod masters). */
  readonly nodes: readonly RedisServer[];
  readonly masters: readonly RedisServer[];
  readonly replicas: readonly RedisServer[];
  /** `127.0.0.1:<port>,…` of all. */
  readonly addresses: string;
  /** Opens a connection to the cluster that stop() closes. */
  client(): Cluster;
  stop(): Promise<void>;
}

const SLOTS = 16_384;

/** Starts a Redis Cluster on free ports and waits until every node of it says that it is complete. */
export async function startCluster(masters = 3, replicas = 0): Promise<RedisCluster> {
  const nodes: RedisServer[] = [];
  const busPorts = new Map<RedisServer, number>();
  try {
    for (let i = 0; i < masters + replicas; i += 1) {
      const [node, busPort] = await startNode();
      nodes.push(node);
      busPorts.set(node, busPort);
    }
    await join(nodes, busPorts, masters);
  } catch (error) {
    await Promise.all(nodes.map((node) => node.stop()));
    throw error;
  }
  const clients: Cluster[] = [];
  return {
    nodes,
    masters: nodes.slice(0, masters),
    replicas: nodes.slice(masters),
    addresses: nodes.map(({ address }) => address).join(','),
    client() {
      const client = new Cluster(nodes.map(({ port }) => ({ host: '127.0.0.1', port })));
      client.on('error', () => {}); // its commands tell
      clients.push(client);
      return client;
    },
    async stop() {
      for (const client of clients) client.disconnect();
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}

/** Starts a server that belongs to no cluster yet. */
function startNode(): Promise<[RedisServer, busPort: number]> {
  return onFreePorts(2, async ([port, busPort]) => {
    const settings = {
      'cluster-enabled': 'yes',
      'cluster-port': String(busPort),
      'cluster-node-timeout': '2000',
      'cluster-allow-replica-migration': 'no',
    };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
    return [await startRedisOn(port!, { args }), busPort!];
  });
}

/** Makes one cluster of the servers: the slots in equal shares to the masters, the rest their replicas. */
async function join(
  nodes: readonly RedisServer[],
  busPorts: ReadonlyMap<RedisServer, number>,
  masters: number,
): Promise<void> {
  const clients = nodes.map((node) => node.client());
  const firstSlot = (i: number) => Math.floor((i * SLOTS) / masters);
  for (const [i, client] of clients.entries()) {
    await client.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1);
    if (i < masters) await client.call('CLUSTER', 'ADDSLOTSRANGE', firstSlot(i), firstSlot(i + 1) - 1);
  }
  for (const [i, client] of clients.entries()) {
    for (const other of nodes.slice(i + 1)) {
      await client.call('CLUSTER', 'MEET', '127.0.0.1', other.port, busPorts.get(other)!);
    }
  }
  await Promise.all(clients.map((client) => expectInfo(client, { cluster_known_nodes: `${nodes.length}` })));

  for (const [i, client] of clients.entries()) {
    if (i < masters) continue;
    const masterId = String(await clients[i % masters]!.call('CLUSTER', 'MYID'));
    await eventually(() => client.call('CLUSTER', 'REPLICATE', masterId), { message: 'becomes a replica' });
    await eventually(async () => (await client.info('replication')).includes('master_link_status:up'), {
      message: 'replica is in step with its master',
    });
  }
  await Promise.all(
    clients.map((client) => expectInfo(client, { cluster_state: 'ok', cluster_slots_ok: `${SLOTS}` })),
  );
  for (const client of clients) client.disconnect();
}

/** Waits until CLUSTER INFO has these values. */
async function expectInfo(client: Redis, expected: Record<string, string>): Promise<void> {
  const holds = async () => {
    const info = String(await client.call('CLUSTER', 'INFO')).split('\r\n');
    return Object.entries(expected).every(([name, value]) => info.includes(`${name}:${value}`));
  };
  await eventually(holds, { timeoutMs: 30_000, message: `CLUSTER INFO has ${JSON.stringify(expected)}` });
}
