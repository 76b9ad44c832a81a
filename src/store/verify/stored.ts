import type { RedisClient } from '../../redis/client.js';
import type { Keys } from '../../redis/keys.js';
import { reading } from '../../redis/unavailable.js';

/** What there is of each kind in a page of the keys of a partition. The names are what the keys end with. */
export type StoredKeys = Readonly<Record<Kind, readonly string[]>>;

type Kind = 'sessions' | 'accounts' | 'tokens' | 'nodeSessions' | 'detached' | 'queue' | 'matches' | 'users';

/**
 * The keys of a partition that `verify` is concerned with, a page at a time; one may come twice. It looks at all keys of
 * all servers.
 * @throws Unavailable
 */
export async function* storedKeys(
  redis: RedisClient,
  keys: Keys,
  partition: number,
): AsyncGenerator<StoredKeys> {
  const prefixes: readonly [Kind, string][] = [
    ['sessions', keys.sessions(partition, '')],
    ['accounts', keys.account(partition, '')],
    ['tokens', keys.token(partition, '')],
    ['nodeSessions', keys.nodeSessions(partition, '')],
    ['detached', keys.detached(partition)],
    ['queue', keys.queue(partition)],
    ['matches', keys.match(partition, '')],
    ['users', keys.user(partition, '')],
  ];
  const pattern = `${literal(`${keys.prefix}{${partition}}:`)}*`;
  for (const server of redis.servers) {
    for (let cursor = ''; cursor !== '0'; ) {
      const [next, found] = await reading(server.scan(cursor || '0', 'MATCH', pattern, 'COUNT', PAGE));
      cursor = next;
      const page: Record<Kind, string[]> = {
        sessions: [],
        accounts: [],
        tokens: [],
        nodeSessions: [],
        detached: [],
        queue: [],
        matches: [],
        users: [],
      };
      for (const key of found) {
        const match = prefixes.find(([, prefix]) => key.startsWith(prefix));
        if (match) page[match[0]].push(key.slice(match[1].length));
      }
      yield page;
    }
  }
}

/** The fields of a hash, or the members of a sorted set with their scores; one may come twice. @throws Unavailable */
export async function scanPairs(
  redis: RedisClient,
  kind: 'hash' | 'sortedSet',
  key: string,
): Promise<[string, string][]> {
  const pairs: [string, string][] = [];
  for (let cursor = ''; cursor !== '0'; ) {
    const page =
      kind === 'hash'
        ? redis.raw.hscan(key, cursor || '0', 'COUNT', PAGE)
        : redis.raw.zscan(key, cursor || '0', 'COUNT', PAGE);
    const [next, flat] = await reading(page);
    cursor = next;
    for (let i = 0; i + 1 < flat.length; i += 2) pairs.push([flat[i]!, flat[i + 1]!]);
  }
  return pairs;
}

/** Keys, fields or members looked at in one call. */
const PAGE = 1000;

/** A text as a pattern that matches it alone. */
function literal(text: string): string {
  return text.replace(/[\\*?[\]^-]/g, '\\$&');
}
