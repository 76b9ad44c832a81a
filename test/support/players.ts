import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { type ConnectOptions, connect, type Message, type TestClient } from './client.js';
import { tokenAuth } from './conversation.js';
import type { Account, Fleet } from './fleet.js';
import type { NodeProcess } from './processes.js';

/** What a match may take until its players are told, in ms. */
export const MATCHED_MS = 30_000;

/** A client with a session. */
export interface Player extends Account {
  readonly client: TestClient;
}

/** Connects an account to a node and authenticates it. @param resume take its session over if it is attached */
export async function enter(
  node: NodeProcess,
  account: Account,
  resume?: boolean,
  options?: ConnectOptions,
): Promise<Player> {
  const client = await connect(node.wsUrl, options);
  expect(await tokenAuth(client, account.token, resume)).toMatchObject({ type: 'auth_success' });
  return { ...account, client };
}

/** Joins the match queue, before whoever does so afterwards: its order goes by milliseconds. */
export async function join({ client }: Player): Promise<void> {
  expect(await client.request({ type: 'join_queue' })).toEqual({ type: 'queued' });
  await delay(2);
}

export interface Match {
  readonly port: number;
  readonly players: readonly string[];
  readonly containerID: string;
  readonly host: string;
}

/** The match that a player is told of next. */
export async function found({ client }: Player): Promise<Match> {
  const message: Message = await client.next(MATCHED_MS);
  expect(message.type).toBe('match_found');
  return message.payload as Match;
}

/** The ports that are taken on any machine, with their matches. */
export async function takenPorts(fleet: Fleet): Promise<Record<string, string>> {
  const taken: Record<string, string> = {};
  for (const key of await fleet.keys('{ports}:*')) Object.assign(taken, await fleet.redis.hgetall(key));
  return taken;
}
