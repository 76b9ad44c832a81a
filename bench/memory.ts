import { setTimeout as delay } from 'node:timers/promises';
import type { Account } from '../src/load/accounts.js';
import { Client } from '../src/load/client.js';
import { textFrame } from '../src/load/frames.js';
import type { Gateway, RedisServer } from './processes.js';

/** What a session takes that is held open, in bytes. */
export interface MemoryOfSessions {
  readonly sessions: number;
  /** In the gateway, its connection included; garbage and unused heap are not counted. */
  readonly gateway: number;
  /** State, indexes and events in Redis. */
  readonly redis: number;
}

const CONNECTING = 64;

/** Time for what is only needed meanwhile to be given back. */
const SETTLE_MS = 3000;

/** Sessions that are there before: what is needed once is there then. */
export const BEFORE = 4000;

/** Lets each account begin a session and keep it, and looks at what all but the first ones add to the memory. */
export async function memoryOfSessions(
  accounts: readonly Account[],
  { gateway, redis }: { gateway: Gateway; redis: RedisServer },
): Promise<MemoryOfSessions> {
  const look = async () => {
    await delay(SETTLE_MS);
    const info = await redis.client.info('memory');
    return {
      gateway: await gateway.keptBytes(),
      redis: Number(/used_memory:(\d+)/.exec(info)![1]),
    };
  };
  const clients: Client[] = [];
  const enter = async ({ token }: Account) => {
    await new Promise<void>((resolve, reject) => {
      const lost = (code: number) => reject(new Error(`A session's connection was closed with ${code}.`));
      const opening = Client.open(
        { url: gateway.url, source: null, insecureTls: false, timeoutMs: 10_000 },
        { message: () => resolve(), pinged() {}, lost },
      );
      opening.then((client) => {
        clients.push(client);
        client.send(textFrame(JSON.stringify({ type: 'token_auth', payload: { token } })));
      }, reject);
    });
  };
  const enterAll = async (some: readonly Account[]) => {
    for (let i = 0; i < some.length; i += CONNECTING) {
      await Promise.all(some.slice(i, i + CONNECTING).map(enter));
    }
  };
  await enterAll(accounts.slice(0, BEFORE));
  const before = await look();
  const others = accounts.slice(BEFORE);
  await enterAll(others);
  const after = await look();
  for (const client of clients) client.close();
  const each = (from: number, to: number) => (to - from) / others.length;
  return {
    sessions: others.length,
    gateway: each(before.gateway, after.gateway),
    redis: each(before.redis, after.redis),
  };
}
