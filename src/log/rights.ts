import { isPassing, type RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';

/**
 * KEYS[1] key that nothing else is under. Does what `commit.lua` does, to no effect. Returns the commands that the user has no
 * right to: Redis 7.0 has no error code for that inside a script.
 */
const PROBE_SCRIPT = `
local key = KEYS[1]
local denied = {}
for _, command in ipairs({
  { 'TIME' }, { 'GET', key }, { 'HGET', key, 'f' }, { 'EXISTS', key },
  { 'SET', key, '', 'EX', 1 }, { 'DEL', key },
  { 'HSET', key, 'f', '' }, { 'HDEL', key, 'f' },
  { 'ZADD', key, 0, 'm' }, { 'ZREM', key, 'm' },
  { 'SADD', key, 'm' }, { 'SREM', key, 'm' },
  { 'XADD', key, '*', 'f', '' }, { 'EXPIRE', key, 1 },
}) do
  local answer = redis.pcall(unpack(command))
  local problem = type(answer) == 'table' and answer.err
  if problem and (problem:find('NOPERM', 1, true) or problem:find("can't run this command", 1, true)) then
    denied[#denied + 1] = command[1]
  end
end
redis.pcall('DEL', key)
return denied`;

/**
 * Makes sure that the user may run every command that a commit needs, on every server: a commit that is refused one of them
 * halfway is not undone.
 * @throws Error with one clear sentence
 */
export async function checkRights(redis: RedisClient, keys: Keys): Promise<void> {
  const probe = redis.script<string[]>('probeRights', PROBE_SCRIPT);
  const partitions = Array.from({ length: keys.partitions }, (_, partition) => partition);
  const look = (partition: number) =>
    probe(1, keys.probe(partition)).catch((error: Error) => {
      if (isPassing(error)) return []; // one server of a Cluster is away
      throw error;
    });
  const denied = new Set((await Promise.all(partitions.map(look))).flat());
  if (denied.size > 0) {
    throw new Error(
      `The user of Redis has no right to ${[...denied].join(', ')}: without that, what is recorded in the event log would be torn.`,
    );
  }
}
