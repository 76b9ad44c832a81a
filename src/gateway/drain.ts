import type { Client } from '../handlers/client.js';
import { CLOSE } from '../protocol/errors.js';
import type { Connection } from './connection.js';

/** No slower than this many connections a second: few enough for the other nodes to take them in at once. */
const LEAST_PER_SECOND = 100;

const TICK_MS = 20;

/**
 * Sends the clients elsewhere, spread over time: each connection finishes what it has been asked, its session is
 * detached, and it is closed with 1012.
 * @param spreadMs over how long, at most
 * @param detach resolves when the session of the connection, if it has one, is recorded as detached; never rejects
 */
export async function drain(
  connections: readonly Connection[],
  spreadMs: number,
  detach: (client: Client) => Promise<void>,
): Promise<void> {
  const durationMs = Math.min(spreadMs, (connections.length / LEAST_PER_SECOND) * 1000);
  const startedAt = performance.now();
  const leaving: Promise<void>[] = [];
  while (leaving.length < connections.length) {
    const elapsed = performance.now() - startedAt;
    const due =
      durationMs === 0 ? connections.length : Math.ceil((elapsed / durationMs) * connections.length);
    for (const connection of connections.slice(leaving.length, Math.max(1, due))) {
      leaving.push(leave(connection, detach));
    }
    if (leaving.length < connections.length) await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  await Promise.all(leaving);
}

async function leave(connection: Connection, detach: (client: Client) => Promise<void>): Promise<void> {
  await connection.drain();
  await detach(connection);
  connection.close(CLOSE.goingAway);
}
