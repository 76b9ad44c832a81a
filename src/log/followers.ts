import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { reading } from '../redis/unavailable.js';
import { compareEntryIds, timeOfEntry } from './entryId.js';

/** How far a follower is behind. */
export interface Lag {
  readonly follower: string;
  /** How long ago its oldest unread event was recorded; 0 when it has read all. */
  readonly seconds: number;
}

/** Those who follow the log under a name: how far each has come is kept beside the log, until it is forgotten. */
export class Followers {
  constructor(
    private readonly redis: RedisClient,
    private readonly keys: Keys,
  ) {}

  /**
   * The entry ids that a follower has come to, by partition; empty: it is new.
   * @throws Unavailable
   */
  async positionsOf(follower: string): Promise<Map<number, string>> {
    const positions = new Map<number, string>();
    await this.ofEach(async (partition) => {
      const id = await this.redis.raw.hget(this.keys.followers(partition), follower);
      if (id !== null) positions.set(partition, id);
    });
    return positions;
  }

  /** Notes what a follower has come to. @throws Unavailable */
  async note(follower: string, positions: ReadonlyMap<number, string>): Promise<void> {
    const notes = [...positions].map(([partition, id]) =>
      this.redis.raw.hset(this.keys.followers(partition), follower, id),
    );
    await reading(Promise.all(notes));
  }

  /** Forgets a follower. Returns whether it was known. @throws Unavailable */
  async forget(follower: string): Promise<boolean> {
    let removed = 0;
    await this.ofEach(async (partition) => {
      removed += await this.redis.raw.hdel(this.keys.followers(partition), follower);
    });
    return removed > 0;
  }

  /** Whether events that come after these positions may have been trimmed from the log. @throws Unavailable */
  async mayHaveMissed(positions: ReadonlyMap<number, string>): Promise<boolean> {
    const missed = [...positions].map(async ([partition, id]) => {
      const log = this.keys.log(partition);
      if (!(await this.redis.raw.exists(log))) return false;
      const facts = (await this.redis.raw.xinfo('STREAM', log)) as unknown[];
      const fact = (name: string) => facts[facts.indexOf(name) + 1];
      const isTrimmed = fact('entries-added') !== fact('length');
      const first = (fact('first-entry') as [string] | null)?.[0];
      const last = String(fact('last-generated-id'));
      return isTrimmed && last !== id && (first === undefined || compareEntryIds(first, id) > 0);
    });
    return (await reading(Promise.all(missed))).includes(true);
  }

  /** How far each is behind. @throws Unavailable */
  async lags(): Promise<Lag[]> {
    const seconds = new Map<string, number>();
    await this.ofEach(async (partition) => {
      const log = this.keys.log(partition);
      const positions = Object.entries(await this.redis.raw.hgetall(this.keys.followers(partition)));
      if (positions.length === 0) return;
      const now = await this.redis.time(log);
      for (const [follower, id] of positions) {
        const [unread] = await this.redis.raw.xrange(log, `(${id}`, '+', 'COUNT', 1);
        const behind = unread ? Math.max(0, now - timeOfEntry(unread[0])) / 1000 : 0;
        seconds.set(follower, Math.max(seconds.get(follower) ?? 0, behind));
      }
    });
    return [...seconds].map(([follower, behind]) => ({ follower, seconds: behind }));
  }

  private async ofEach(work: (partition: number) => Promise<void>): Promise<void> {
    const partitions = Array.from({ length: this.keys.partitions }, (_, partition) => partition);
    await reading(Promise.all(partitions.map(work)));
  }
}
