import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { reading } from '../redis/unavailable.js';

/** The ports of this machine for game servers, shared by all workers here. All methods throw `Unavailable`. */
export class Ports {
  private readonly key: string;

  constructor(
    private readonly redis: RedisClient,
    keys: Keys,
    machine: string,
    private readonly range: { readonly from: number; readonly to: number },
  ) {
    this.key = keys.ports(machine);
  }

  /** A port for a match, the same one if it has one already; null if all are taken. */
  async take(match: string): Promise<number | null> {
    const { from, to } = this.range;
    const first = from + Math.floor(Math.random() * (to - from + 1));
    const port = Number(
      await reading(this.redis.script('takePort', TAKE)(1, this.key, match, from, to, first)),
    );
    return port === 0 ? null : port;
  }

  /** Gives a match's port back. */
  async giveBack(port: number, match: string): Promise<void> {
    await reading(this.redis.script('giveBackPort', GIVE_BACK)(1, this.key, port, match));
  }

  /** Which match has which port. */
  async taken(): Promise<[port: number, match: string][]> {
    const taken = await reading(this.redis.raw.hgetall(this.key));
    return Object.entries(taken).map(([port, match]) => [Number(port), match]);
  }
}

/** KEYS[1] hash; ARGV match, from, to, first one to try. Returns the port, or 0. */
const TAKE = `
local taken = {}
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  if flat[i + 1] == ARGV[1] then return flat[i] end
  taken[tonumber(flat[i])] = true
end
local from, to, first = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local count = to - from + 1
for i = 0, count - 1 do
  local port = from + (first - from + i) % count
  if not taken[port] then
    redis.call('HSET', KEYS[1], port, ARGV[1])
    return port
  end
end
return 0`;

/** KEYS[1] hash; ARGV port, match. */
const GIVE_BACK = `
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return 1`;
