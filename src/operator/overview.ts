import type { Deployment } from '../deployment.js';
import type { JobCount } from '../jobs/queue.js';
import { Followers, type Lag } from '../log/followers.js';
import { type ServerState, serverStates } from '../redis/info.js';
import { reading } from '../redis/unavailable.js';

/** What there is in a whole deployment. */
export interface Overview {
  /** Sessions that wait to be resumed. */
  readonly detachedSessions: number;
  /** Sessions that wait for a match. */
  readonly waitingSessions: number;
  /** Events in the log. */
  readonly events: number;
  readonly followers: readonly Lag[];
  readonly jobs: readonly JobCount[];
  readonly servers: readonly ServerState[];
}

/** Looks at all partitions and all servers, but not at the jobs. @throws Unavailable */
export async function overviewOf({ redis, keys }: Deployment): Promise<Omit<Overview, 'jobs'>> {
  const { raw } = redis;
  const partitions = Array.from({ length: keys.partitions }, (_, partition) => partition);
  const inAll = async (count: (partition: number) => Promise<number>) =>
    (await reading(Promise.all(partitions.map(count)))).reduce((sum, one) => sum + one, 0);
  const [detachedSessions, waitingSessions, events, followers, servers] = await Promise.all([
    inAll((partition) => raw.zcard(keys.detached(partition))),
    inAll((partition) => raw.zcard(keys.queue(partition))),
    inAll((partition) => raw.xlen(keys.log(partition))),
    new Followers(redis, keys).lags(),
    serverStates(redis),
  ]);
  return { detachedSessions, waitingSessions, events, followers, servers };
}
