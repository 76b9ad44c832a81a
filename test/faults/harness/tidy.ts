import type { Cluster, Redis } from 'ioredis';
import { expect } from 'vitest';
import { eventually } from '../../support/eventually.js';
import type { Fleet } from '../../support/fleet.js';

/** Kinds of keys that stay when nobody is there: the log, accounts, detached sessions. */
const STAYS = /^\{\d+\}:(?:log|user:.+|account:\S+|sessions:\S+|resume:\S+|detached)$|^\{meta\}:partitions$/;

/** Kinds of keys that go by themselves. */
const EXPIRES =
  /^\{\d+\}:(?:token|lane|ended|fence):\S+$|^\{nodes\}:(?:lease:\S+|gateways)$|^\{meta\}:reaper$|^\{watch\}:\S+$|^limit:/;

/** BullMQ sees to its own. */
const JOBS = /^\{jobs\}:/;

/** Nodes are forgotten by the reaper once they have no sessions; those that live may stay. */
const NODES = /^\{\d+\}:nodes$/;

/**
 * Expects that every key has a purpose, and an expiry if it should have one, though nobody is online: no session is
 * attached to any node, nobody waits for a match, no claim is left.
 */
export async function expectTidy({ redis, env }: Fleet): Promise<void> {
  const { KEY_PREFIX = '' } = env;
  await eventually(
    async () => {
      const stray: string[] = [];
      for (const server of 'nodes' in redis ? redis.nodes('master') : [redis]) {
        for (const key of await keysOf(server, KEY_PREFIX)) {
          const name = key.slice(KEY_PREFIX.length);
          const isRight =
            STAYS.test(name) ||
            JOBS.test(name) ||
            NODES.test(name) ||
            (EXPIRES.test(name) && (await redis.pttl(key)) !== -1);
          if (!isRight)
            stray.push(`${name} (${await redis.type(key)}, expires in ${await redis.pttl(key)} ms)`);
        }
      }
      expect(stray).toEqual([]);
    },
    { timeoutMs: 20_000, intervalMs: 500, message: 'nothing is left behind' },
  );
}

async function keysOf(server: Redis, prefix: string): Promise<string[]> {
  const keys = new Set<string>();
  for await (const page of server.scanStream({ match: `${prefix}*`, count: 1000 })) {
    for (const key of page as string[]) keys.add(key);
  }
  return [...keys];
}

export type AnyRedis = Redis | Cluster;
