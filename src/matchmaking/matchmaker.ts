import { each } from '../each.js';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { reading } from '../redis/unavailable.js';
import type { Accounts } from '../store/accounts.js';
import { accountOfSession, newMatchId } from '../store/ids.js';
import type { Matches, Plan } from '../store/matches.js';
import type { Stored } from '../store/sessionRecord.js';
import type { Sessions } from '../store/sessions.js';

export interface MatchmakerOptions {
  readonly redis: RedisClient;
  readonly keys: Keys;
  readonly sessions: Sessions;
  readonly accounts: Accounts;
  readonly matches: Matches;
  /** Players of a match. */
  readonly size: number;
  /** Whether a node hears what it is told: its players are passed over while it doesn't. @throws Unavailable */
  readonly isThere: (node: string) => Promise<boolean>;
}

/** Somebody who waits. */
interface Candidate {
  readonly id: string;
  readonly known: Stored;
}

/** A player whose name is not known, see `StoredAccount`. */
const UNKNOWN = 'unknown';

/** Matches formed at the same time. */
const AT_ONCE = 16;

/** A plan that is this old is somebody's who is gone, in ms. */
const PLAN_MS = 15_000;

/**
 * Forms matches of those who wait, first come first served over all partitions. The queue in Redis is an index; whether
 * somebody can be taken, only the commit on his session tells.
 */
export class Matchmaker {
  constructor(private readonly options: MatchmakerOptions) {}

  /** Forms matches until too few wait. @param onFormed is told of each, and waited for @throws Unavailable */
  async formAll(onFormed: (match: string) => Promise<void>): Promise<void> {
    const { size } = this.options;
    for (;;) {
      const line = await this.line(size * AT_ONCE);
      if (line.length < size) return;
      const next = line.values();
      const count = Math.floor(line.length / size);
      const formed = await Promise.all(
        Array.from({ length: count }, async () => {
          const match = await this.formOne(next);
          if (match !== null) await onFormed(match);
          return match;
        }),
      );
      if (formed.every((match) => match === null)) return;
    }
  }

  /** Whether there are enough who wait. @throws Unavailable */
  async isWorthIt(): Promise<boolean> {
    const { redis, keys, size } = this.options;
    const counts = await reading(
      Promise.all(partitionsOf(keys).map((partition) => redis.raw.zcard(keys.queue(partition)))),
    );
    return counts.reduce((sum, count) => sum + count, 0) >= size;
  }

  /** Gives up what others have left half done: their players are in line again. @throws Unavailable */
  async sweep(partition: number): Promise<void> {
    const { redis, keys, matches } = this.options;
    const now = await reading(redis.time(keys.log(partition)));
    await each(await matches.oldPlans(partition, now - PLAN_MS), async (plan) => {
      // a plan of one's own now: whoever made it can't form the match any more, nor take anybody for it
      const own = await matches.plan(plan.match, plan.candidates, plan);
      if (!own) return;
      await matches.fenceOff(own);
      await this.dissolve(own);
    });
  }

  /** Takes the next ones in line for a match; who can't be taken is replaced by the next. Null if there are too few. */
  private async formOne(line: Iterator<Candidate>): Promise<string | null> {
    const { matches, size } = this.options;
    const match = newMatchId();
    const players = new Map<string, string>();
    let plan: Plan | undefined;
    while (players.size < size) {
      const candidates = takeSome(line, size - players.size);
      if (candidates.length < size - players.size) {
        if (plan) await this.dissolve(plan);
        return null;
      }
      const ids = candidates.map(({ id }) => id);
      const planned = await matches.plan(match, [...(plan?.candidates ?? []), ...ids], plan);
      if (!planned) return this.giveUp(match, players.keys());
      plan = planned;
      const names = await Promise.all(candidates.map((candidate) => this.take(candidate, match)));
      for (const [i, id] of ids.entries()) {
        const name = names[i];
        if (name != null) players.set(id, name);
      }
    }
    const isFormed = await matches.form(plan!, [...players.keys()], [...players.values()]);
    return isFormed ? match : this.giveUp(match, players.keys());
  }

  /** It took so long that another worker has given the plan up: no match, and its players are in line again. */
  private async giveUp(match: string, players: Iterable<string>): Promise<null> {
    await Promise.all([...players].map((id) => this.giveBack(id, match)));
    return null;
  }

  private async dissolve(plan: Plan): Promise<void> {
    await Promise.all(plan.candidates.map((id) => this.giveBack(id, plan.match)));
    await this.options.matches.dropPlan(plan);
  }

  /** @returns what others see of who was taken; null if he could not be */
  private async take({ id, known }: Candidate, match: string): Promise<string | null> {
    const { sessions, accounts, matches } = this.options;
    const options = { known, also: matches.guard(match, id) };
    const outcome = await sessions.execute(id, { type: 'match', match }, options);
    if (!outcome.done) return null;
    return outcome.after.displayName ?? (await accounts.usernameOf(accountOfSession(id))) ?? UNKNOWN;
  }

  private async giveBack(id: string, match: string): Promise<void> {
    await this.options.sessions.execute(id, { type: 'unmatch', match });
  }

  /** The first ones in line, over all partitions, of those who can be told of a match. */
  private async line(count: number): Promise<Candidate[]> {
    const isThere = remembered(this.options.isThere);
    const line: Candidate[] = [];
    for (let from = 0; ; from += count) {
      const page = await this.page(from, count);
      for (let i = 0; i < page.length && line.length < count; i += count) {
        line.push(...(await this.present(page.slice(i, i + count), isThere)));
      }
      if (line.length >= count) return line.slice(0, count);
      if (page.length < count) return line; // no partition has more
    }
  }

  /** Those at some places in the line of each partition, by the time that they have joined. */
  private async page(from: number, count: number): Promise<string[]> {
    const { redis, keys } = this.options;
    const parts = await reading(
      Promise.all(
        partitionsOf(keys).map((partition) =>
          redis.raw.zrange(keys.queue(partition), from, String(from + count - 1), 'WITHSCORES'),
        ),
      ),
    );
    return parts
      .flatMap((flat) => pairs(flat))
      .sort((a, b) => a.since - b.since)
      .map(({ id }) => id);
  }

  /** Those of some sessions that wait on a node that is there. */
  private async present(
    ids: readonly string[],
    isThere: (node: string) => Promise<boolean>,
  ): Promise<Candidate[]> {
    const candidates = await Promise.all(
      ids.map(async (id) => {
        const known = await this.options.sessions.load(id);
        const { state } = known;
        const waits = state.status === 'attached' && state.play?.status === 'waiting';
        return waits && (await isThere(state.attachment.node)) ? { id, known } : null;
      }),
    );
    return candidates.filter((candidate) => candidate !== null);
  }
}

/** Asks once about each. */
function remembered(ask: (node: string) => Promise<boolean>): (node: string) => Promise<boolean> {
  const answers = new Map<string, Promise<boolean>>();
  return (node) => {
    const answer = answers.get(node) ?? ask(node);
    answers.set(node, answer);
    return answer;
  };
}

function partitionsOf(keys: Keys): number[] {
  return Array.from({ length: keys.partitions }, (_, partition) => partition);
}

function takeSome(line: Iterator<Candidate>, count: number): Candidate[] {
  const some: Candidate[] = [];
  while (some.length < count) {
    const { value, done } = line.next();
    if (done) break;
    some.push(value);
  }
  return some;
}

function pairs(flat: readonly string[]): { id: string; since: number }[] {
  return flat.flatMap((id, i) => (i % 2 === 0 ? [{ id, since: Number(flat[i + 1]) }] : []));
}
