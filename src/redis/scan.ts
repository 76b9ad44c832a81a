import type { RedisClient } from './client.js';
import { Unavailable } from './unavailable.js';

/** Members looked at in one call. */
const COUNT = 1000;

/** The members of a set, a page at a time; a member may come twice. @throws Unavailable */
export async function* scanSet(redis: RedisClient, key: string): AsyncGenerator<string[]> {
  let cursor = '0';
  do {
    let members: string[];
    try {
      [cursor, members] = await redis.raw.sscan(key, cursor, 'COUNT', COUNT);
    } catch (error) {
      throw new Unavailable(error);
    }
    yield members;
  } while (cursor !== '0');
}
