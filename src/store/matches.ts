import { LATEST_COMMIT_MS } from '../log/lane.js';
import { NO_RECORD, parseRecord, type StoredRecord, type Write } from '../log/operation.js';
import {
  decideMatch,
  evolveMatch,
  type GameServer,
  initialMatch,
  type MatchCommand,
  type MatchState,
} from '../match/match.js';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { reading } from '../redis/unavailable.js';
import { type Change, type Log, noChange, operationOf, type Versioned } from './change.js';
import { bucketOfId } from './ids.js';

/** The sessions that a match is about to take: noted before the first is taken, so that none is forgotten. */
export interface Plan {
  readonly match: string;
  readonly candidates: readonly string[];
  readonly version: number;
}

/** A match as it is stored: what the log says of it, and beside that what the log must not hold. */
export interface StoredMatch extends Versioned<MatchState> {
  /** What others saw of the players when the match was formed, in their order. */
  readonly names: readonly string[];
}

type Body =
  | [status: 'formed' | 'failed', players: readonly string[], names: readonly string[]]
  | [status: 'started', players: readonly string[], names: readonly string[], server: GameServer];

/** A match that is not stored: not formed, or over. */
const NOT_STORED: StoredMatch = { state: initialMatch, version: 0, names: [] };

/**
 * The matches in Redis. One that is over is not stored; one that has failed is, until its players have been seen to. All
 * methods throw `Unavailable` when Redis can't be read.
 */
export class Matches {
  constructor(
    private readonly redis: RedisClient,
    private readonly keys: Keys,
    private readonly log: Log,
  ) {}

  /** A match as it is now. */
  async load(match: string): Promise<StoredMatch> {
    const { partition } = this.placeOf(match);
    return readMatch(parseRecord(await reading(this.redis.raw.get(this.keys.match(partition, match)))));
  }

  /** Whether a match still needs the sessions that it has taken: it is planned, or formed and not started. */
  async isPending(match: string): Promise<boolean> {
    const { partition } = this.placeOf(match);
    const [plan, stored] = await reading(
      this.redis.raw.mget(this.keys.matchPlan(partition, match), this.keys.match(partition, match)),
    );
    const { state } = readMatch(parseRecord(stored));
    return plan !== null || state.status === 'formed' || state.status === 'failed';
  }

  /** Notes which sessions a match is about to take: a new plan, or more of them. Null if the plan is another's by now. */
  async plan(match: string, candidates: readonly string[], previous?: Plan): Promise<Plan | null> {
    const { partition } = this.placeOf(match);
    const key = this.keys.matchPlan(partition, match);
    const version = (previous?.version ?? 0) + 1;
    const result = await this.log.commit({
      partition,
      checks: [{ key, version: previous?.version ?? NO_RECORD }],
      events: [],
      writes: [
        ['put', key, '', version, JSON.stringify(candidates), 0],
        ['rank', this.keys.matchPlans(partition), match],
      ],
    });
    return result.committed ? { match, candidates, version } : null;
  }

  /** What taking a session for a match must be joined with: it fails once the match is fenced off. */
  guard(match: string, sessionId: string): Change {
    const partition = this.keys.partitionOf(bucketOfId(sessionId));
    return { ...noChange, checks: [{ key: this.keys.matchFence(partition, match), version: NO_RECORD }] };
  }

  /** Makes sure that no session is taken for a planned match from now on, however late whoever has made the plan may be. */
  async fenceOff({ match, candidates }: Plan): Promise<void> {
    const partitions = new Set(candidates.map((id) => this.keys.partitionOf(bucketOfId(id))));
    await Promise.all(
      [...partitions].map(async (partition) => {
        const key = this.keys.matchFence(partition, match);
        const expiresAt = (await reading(this.redis.time(key))) + LATEST_COMMIT_MS;
        const write = ['put', key, '', 1, '', expiresAt] as const;
        await this.log.commit({ partition, checks: [], events: [], writes: [write] });
      }),
    );
  }

  /** Gives a plan up, once its sessions are free again. */
  async dropPlan(plan: Plan): Promise<void> {
    const { partition } = this.placeOf(plan.match);
    await this.log.commit(operationOf(partition, this.planDone(plan)));
  }

  /** The plans of a partition that were made before a time (Redis' time in ms). */
  async oldPlans(partition: number, before: number): Promise<Plan[]> {
    const ids = await this.oldMembers(this.keys.matchPlans(partition), before);
    const plans: Plan[] = [];
    for (const match of ids) {
      const record = parseRecord(await reading(this.redis.raw.get(this.keys.matchPlan(partition, match))));
      if (record) {
        const candidates = JSON.parse(record.body) as string[];
        plans.push({ match, candidates, version: record.version });
      }
    }
    return plans;
  }

  /** The matches of a partition that were formed, started or failed before a time (Redis' time in ms), and are no further. */
  async pending(partition: number, before: number): Promise<string[]> {
    return this.oldMembers(this.keys.pendingMatches(partition), before);
  }

  /** The matches of a partition that have a game server. */
  async running(partition: number): Promise<string[]> {
    return reading(this.redis.raw.zrange(this.keys.runningMatches(partition), 0, '-1'));
  }

  /** A plan has come true. @param names of the players, in their order @returns false if it is another's by now */
  async form(plan: Plan, players: readonly string[], names: readonly string[]): Promise<boolean> {
    const command = { type: 'form', players } as const;
    return (await this.execute(plan.match, command, this.planDone(plan), { ...NOT_STORED, names })) !== null;
  }

  /**
   * Takes a command through, again on the fresh state when somebody else was faster.
   * @param also a change of the same partition to commit together with it
   * @returns the state after it; null if it does not apply, or a check of `also` failed
   */
  async execute(
    match: string,
    command: MatchCommand,
    also: Change = noChange,
    known?: StoredMatch,
  ): Promise<MatchState | null> {
    const { partition } = this.placeOf(match);
    let current = known ?? (await this.load(match));
    for (;;) {
      const event = decideMatch(command, current.state);
      if (!event) return null;
      const { state, version, names } = current;
      const after = { state: evolveMatch(state, event), version: version + 1, names };
      const change: Change = {
        checks: [{ key: this.keys.match(partition, match), version }],
        events: [{ type: event.type, subject: match, version: after.version, data: event.data }],
        writes: this.writes(match, after),
      };
      const result = await this.log.commit(operationOf(partition, change, also));
      if (result.committed) return after.state;
      if (result.check >= change.checks.length) return null;
      current = readMatch(result.found);
    }
  }

  /** The players of a match that has started were told of it. */
  async told(match: string): Promise<void> {
    const { partition } = this.placeOf(match);
    const writes = [['unrank', this.keys.pendingMatches(partition), match] as const];
    await this.log.commit({ partition, checks: [], events: [], writes });
  }

  /** The players of a match that failed have been seen to. */
  async forget(match: string): Promise<void> {
    const { partition } = this.placeOf(match);
    await this.log.commit({ partition, checks: [], events: [], writes: this.deletion(match) });
  }

  private writes(match: string, { state, version, names }: StoredMatch): readonly Write[] {
    if (state.status === 'none' || state.status === 'ended') return this.deletion(match);
    const { partition } = this.placeOf(match);
    const body: Body =
      state.status === 'started'
        ? [state.status, state.players, names, state.server]
        : [state.status, state.players, names];
    const [running, pending] = [this.keys.runningMatches(partition), this.keys.pendingMatches(partition)];
    return [
      ['put', this.keys.match(partition, match), '', version, JSON.stringify(body), 0],
      ['rank', pending, match],
      state.status === 'started' ? ['rank', running, match] : ['unrank', running, match],
    ];
  }

  private deletion(match: string): readonly Write[] {
    const { partition } = this.placeOf(match);
    return [
      ['delete', this.keys.match(partition, match), ''],
      ['unrank', this.keys.pendingMatches(partition), match],
      ['unrank', this.keys.runningMatches(partition), match],
    ];
  }

  private planDone({ match, version }: Plan): Change {
    const { partition } = this.placeOf(match);
    const key = this.keys.matchPlan(partition, match);
    return {
      checks: [{ key, version }],
      events: [],
      writes: [
        ['delete', key, ''],
        ['unrank', this.keys.matchPlans(partition), match],
      ],
    };
  }

  private oldMembers(key: string, before: number): Promise<string[]> {
    return reading(this.redis.raw.zrangebyscore(key, '-inf', before, 'LIMIT', 0, PAGE));
  }

  private placeOf(match: string): { partition: number } {
    return { partition: this.keys.partitionOf(bucketOfId(match)) };
  }
}

/** Old plans and matches looked at in one round. */
const PAGE = 100;

/** Reads a match's record. */
export function readMatch(record: StoredRecord | null): StoredMatch {
  if (!record) return NOT_STORED;
  const body = JSON.parse(record.body) as Body;
  const [status, players, names] = body;
  return {
    version: record.version,
    names,
    state:
      body[0] === 'started'
        ? { status: 'started', players, server: body[3] }
        : { status: status as 'formed' | 'failed', players },
  };
}
