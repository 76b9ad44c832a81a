import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { reading } from '../redis/unavailable.js';

/** The first pause, and the longest, in ms. */
const FIRST_MS = 1000;
const LONGEST_MS = 30_000;

/** Failures further apart than this have nothing to do with each other, in ms. */
const TOGETHER_MS = 120_000;

/**
 * After a match has failed none is formed for a while, longer each time until one has started: where no game server can be
 * started, players would be told of one failure after the other. All methods throw `Unavailable`.
 */
export class FormingPause {
  constructor(
    private readonly redis: RedisClient,
    private readonly keys: Keys,
  ) {}

  /** Whether no match is to be formed now. */
  async isOn(): Promise<boolean> {
    return (await reading(this.redis.raw.exists(this.keys.formingPause()))) === 1;
  }

  /** A match has failed. Those that fail during a pause were formed before it, and make it no longer. */
  async begin(): Promise<void> {
    const { redis, keys } = this;
    const begin = redis.script('pauseForming', BEGIN);
    await reading(begin(2, keys.formingFailures(), keys.formingPause(), FIRST_MS, LONGEST_MS, TOGETHER_MS));
  }

  /** A match has started: game servers can be. */
  async end(): Promise<void> {
    await reading(this.redis.raw.del(this.keys.formingFailures(), this.keys.formingPause()));
  }
}

/** KEYS[1] failures, KEYS[2] pause; ARGV first pause, longest pause, how long failures are counted (all ms). */
const BEGIN = `
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
local failures = redis.call('INCR', KEYS[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('SET', KEYS[2], failures, 'PX', string.format('%.0f', math.min(ARGV[1] * 2 ^ (failures - 1), ARGV[2])))
return 1`;
