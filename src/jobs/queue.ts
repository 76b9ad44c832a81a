// Placeholder until the real file is written; overwrite it.
import type { Logger } from 'pino';
import type { RedisTarget } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
export async function startJobs(_o: {
  target: RedisTarget;
  keys: Keys;
  logger: Logger;
  retentionHours: number;
}): Promise<{ close(): Promise<void> }> {
  return { async close() {} };
}
