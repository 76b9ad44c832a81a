import type { RedisClient } from './client.js';
import { reading } from './unavailable.js';

/** What a server says of itself by INFO; managed ones often deny CONFIG. */
export type Info = ReadonlyMap<string, string>;

/** What one Redis server, with keys of its own, says of itself. */
export interface ServerState {
  /** `host:port`, or the path of its socket. */
  readonly server: string;
  readonly usedBytes: number;
  /** 0: no limit. */
  readonly limitBytes: number;
  /** Replicas that are connected. */
  readonly replicas: number;
  /** Whether it keeps an append-only file, and could write it the last time. */
  readonly isPersistent: boolean;
}

/** Asks every server that holds keys. @throws Unavailable */
export async function serverStates(redis: RedisClient): Promise<ServerState[]> {
  return reading(
    Promise.all(
      redis.servers.map(async (raw) => {
        const { path, host, port } = raw.options;
        const info = parseInfo(await raw.info());
        const number = (field: string) => Number(info.get(field) ?? 0);
        return {
          server: path ?? `${host}:${port}`,
          usedBytes: number('used_memory'),
          limitBytes: number('maxmemory'),
          replicas: number('connected_slaves'),
          isPersistent: info.get('aof_enabled') === '1' && info.get('aof_last_write_status') === 'ok',
        };
      }),
    ),
  );
}

/** Reads the answer to INFO: lines `field:value`, under headings. */
export function parseInfo(text: string): Info {
  return new Map([...text.matchAll(/^([a-z0-9_]+):(.*?)\r?$/gm)].map(([, field, value]) => [field!, value!]));
}
