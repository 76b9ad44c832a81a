import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { reading } from '../redis/unavailable.js';
import type { Held, Place } from './launcher.js';

/** For how long the list of a machine's ports stays when no worker is there, in ms. */
const FORGOTTEN_MS = 24 * 3_600_000;

/**
 * The ports of this machine for game servers, shared by all workers here. The list goes by itself when there is no worker any
 * more. All methods throw `Unavailable`.
 */
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

  /** A port for a match, another one each time; null if all are taken. */
  async take(match: string): Promise<number | null> {
    const { from, to } = this.range;
    const first = from + Math.floor(Math.random() * (to - from + 1));
    const port = Number(
      await reading(this.redis.script('takePort', TAKE)(1, this.key, match, from, to, first, FORGOTTEN_MS)),
    );
    return port === 0 ? null : port;
  }

  /** Gives a match's port back. */
  async giveBack({ port, match }: Place): Promise<void> {
    await reading(this.redis.script('giveBackPort', GIVE_BACK)(1, this.key, port, match));
  }

  /** Which match has which port. */
  async taken(): Promise<Held[]> {
    const { redis, key } = this;
    const [now, taken] = await reading(
      Promise.all([redis.time(key), redis.raw.hgetall(key), redis.raw.pexpire(key, FORGOTTEN_MS)]),
    );
    return Object.entries(taken).map(([port, value]) => {
      const [match, at] = value.split(' ') as [string, string];
      return { port: Number(port), match, ageMs: now - Number(at) };
    });
  }
}

/** KEYS[1] hash; ARGV match, from, to, first one to try, how long it stays (ms). Returns the port, or 0. */
const TAKE = `
local time = redis.call('TIME')
local value = ARGV[1] .. ' ' .. string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local from, to, first = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local count = to - from + 1
for i = 0, count - 1 do
  local port = from + (first - from + i) % count
  if redis.call('HSETNX', KEYS[1], port, value) == 1 then
    redis.call('PEXPIRE', KEYS[1], ARGV[5])
    return port
  end
end
return 0`;

/** KEYS[1] hash; ARGV port, match. */
const GIVE_BACK = `
local value = redis.call('HGET', KEYS[1], ARGV[1])
if value and value:match('^%S+') == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return 1`;
