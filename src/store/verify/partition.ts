import { parseRecord, type StoredRecord } from '../../log/operation.js';
import type { Evolve } from '../../log/replay.js';
import type { RedisClient } from '../../redis/client.js';
import type { Keys } from '../../redis/keys.js';
import { scanSet } from '../../redis/scan.js';
import { reading } from '../../redis/unavailable.js';
import { bucketOfId, isSessionId } from '../ids.js';
import { sessionPlace } from '../sessionRecord.js';
import { type Check, runChecks } from './checks.js';
import { History, type Losses, lossesOf } from './history.js';
import { SessionIndexes } from './indexes.js';
import { judge, judgePartial, type Records, readRecords } from './records.js';
import { type StoredKeys, scanPairs, storedKeys } from './stored.js';
import { isStored, type SubjectState } from './subject.js';
import { TokenRecords } from './tokens.js';

/** See `Verification`. */
export type Counts = Record<'events' | 'subjects' | 'trimmed' | 'unknown' | 'credentials', number>;

/** Times that a record which differs from the log is read again, together with the log. */
const LOOKS = 2;
/** Records read at once. */
const RECORDS = 500;
/** Hashes and sorted sets read at once. */
const COLLECTIONS = 100;

/** Compares the log of one partition with what is stored, once. */
export class PartitionCheck {
  private readonly counts: Counts = { events: 0, subjects: 0, trimmed: 0, unknown: 0, credentials: 0 };
  private readonly problems = new Set<string>();
  /** Subjects whose record differs from the log, as it seems. */
  private readonly suspects = new Set<string>();
  /** Subjects of the log whose record has been found. */
  private readonly seen = new Set<string>();
  private readonly history: History;
  private readonly indexes: SessionIndexes;
  private readonly tokens: TokenRecords;
  private losses: Losses = { trimmedTo: 0, hole: null };

  constructor(
    private readonly redis: RedisClient,
    private readonly keys: Keys,
    private readonly partition: number,
    private readonly evolve: Evolve<SubjectState>,
  ) {
    this.history = new History(redis, keys, partition, evolve);
    this.indexes = new SessionIndexes(keys, partition);
    this.tokens = new TokenRecords(redis, keys, partition);
  }

  /** @throws Unavailable; Error when an entry of the log is not an event */
  async run(): Promise<{ readonly counts: Counts; readonly problems: ReadonlySet<string> }> {
    const { redis, keys, partition, history } = this;
    this.losses = await lossesOf(redis, keys, partition);
    if (this.losses.hole) this.problems.add(`entry ${this.losses.hole} was deleted from the log`);
    await history.readOn();
    for await (const page of storedKeys(redis, keys, partition)) await this.compareStored(page);
    await this.compareMissing();
    this.countLogged();
    await this.lookAgain();
    return { counts: this.counts, problems: this.problems };
  }

  /** What is stored must be what the log says, and what is in the indexes. */
  private async compareStored(page: StoredKeys): Promise<void> {
    const { redis, keys, partition, indexes } = this;
    this.counts.credentials += page.users.length;
    for (const some of batches(page.sessions, COLLECTIONS)) await this.compareSessions(some);
    for (const some of batches(page.accounts, RECORDS)) await this.compareAccounts(some);
    for (const some of batches(page.tokens, RECORDS)) await this.compareTokens(some);

    for (const node of page.nodeSessions) {
      for await (const ids of scanSet(redis, keys.nodeSessions(partition, node))) {
        await this.check(ids.map((id) => indexes.isOfNode(node, id)));
      }
    }
    for (const some of batches(page.matches, RECORDS)) {
      const found = [...(await readRecords(redis, keys, some))];
      await this.compare(new Map(found.flatMap(([id, record]) => (record ? [[id, record]] : []))));
    }
    if (page.queue.length > 0) {
      const members = await scanPairs(redis, 'sortedSet', keys.queue(partition));
      await this.check(members.map(([id]) => indexes.isWaiting(id)));
    }
    if (page.detached.length > 0) {
      const members = await scanPairs(redis, 'sortedSet', keys.detached(partition));
      await this.check(members.map(([id]) => indexes.isDetached(id)));
    }
  }

  private async compareSessions(accountIds: readonly string[]): Promise<void> {
    const { redis, keys, partition } = this;
    const hashes = await Promise.all(
      accountIds.map((accountId) => scanPairs(redis, 'hash', keys.sessions(partition, accountId))),
    );
    const records = new Map<string, StoredRecord>();
    for (const [i, accountId] of accountIds.entries()) {
      for (const [id, stored] of hashes[i]!) {
        const record = parseRecord(stored);
        if (isSessionId(id) && sessionPlace(keys, id).key === keys.sessions(partition, accountId)) {
          if (record) records.set(id, record);
        } else {
          this.problems.add(`${id} has no business in ${keys.sessions(partition, accountId)}`);
        }
      }
    }
    await this.compare(records);
    await this.check([...records].map(([id, record]) => this.indexes.hasAll(id, record)));
  }

  private async compareAccounts(accountIds: readonly string[]): Promise<void> {
    const { redis, keys, partition } = this;
    const isOwn = (id: string) => !isSessionId(id) && keys.partitionOf(bucketOfId(id)) === partition;
    for (const id of accountIds) {
      if (!isOwn(id)) this.problems.add(`${keys.account(partition, id)} is no account of this partition`);
    }
    const found = [...(await readRecords(redis, keys, accountIds.filter(isOwn)))];
    const records = new Map(found.flatMap(([id, record]) => (record ? [[id, record]] : [])));
    await this.compare(records);
    await this.check([...records].map(([id, record]) => this.tokens.hasAll(id, record)));
  }

  private async compareTokens(tokens: readonly string[]): Promise<void> {
    const { redis, keys, partition } = this;
    const stored = await reading(
      Promise.all(tokens.map((token) => redis.raw.get(keys.token(partition, token)))),
    );
    const checks = tokens.flatMap((token, i) => {
      const record = parseRecord(stored[i]);
      return record ? [this.tokens.isOfAccount(token, record)] : [];
    });
    await this.check(checks);
  }

  /** What the log says is there must be stored. */
  private async compareMissing(): Promise<void> {
    const missing: string[] = [];
    for (const [subject, known] of this.history.subjects) {
      if (known.status === 'whole' && isStored(known.state) && !this.seen.has(subject)) missing.push(subject);
    }
    for (const some of batches(missing, RECORDS)) {
      await this.compare(await readRecords(this.redis, this.keys, some));
    }
  }

  private async compare(records: Records): Promise<void> {
    for (const [subject, verdict] of await judge(this.history, this.losses, records)) {
      const isLogged = this.history.subjects.has(subject);
      if (isLogged) this.seen.add(subject);
      else this.counts.subjects += 1;
      if (verdict === 'right') continue;
      if ('wrong' in verdict) this.suspects.add(subject);
      else if (!isLogged) this.counts[verdict.unjudged] += 1;
    }
  }

  /** Counts what the log speaks of, and finds what is wrong in the log itself. */
  private countLogged(): void {
    const { counts, history, suspects } = this;
    counts.events = history.events;
    counts.subjects += history.subjects.size;
    for (const [subject, known] of history.subjects) {
      if (known.status === 'broken') suspects.add(subject);
      if (known.status !== 'partial' || suspects.has(subject)) continue;
      const verdict = judgePartial(known, this.losses);
      if ('wrong' in verdict) suspects.add(subject);
      else counts[verdict.unjudged] += 1;
    }
  }

  /**
   * Reads once more from the beginning what differs: the log may have been trimmed while it was read, or Redis may have
   * failed over to a replica that was behind. What differs still is a problem.
   */
  private async lookAgain(): Promise<void> {
    const { redis, keys, partition, suspects } = this;
    const wrong = new Map<string, string>();
    for (let look = 0; look < LOOKS && suspects.size > 0; look++) {
      wrong.clear();
      const losses = await lossesOf(redis, keys, partition);
      const history = new History(redis, keys, partition, this.evolve, new Set(suspects));
      await history.readOn();
      for (const some of batches([...suspects], RECORDS)) {
        for (const [subject, verdict] of await judge(history, losses, await readRecords(redis, keys, some))) {
          if (verdict !== 'right' && 'wrong' in verdict) {
            wrong.set(subject, verdict.wrong);
          } else {
            suspects.delete(subject);
            if (verdict !== 'right') this.counts[verdict.unjudged] += 1;
          }
        }
      }
    }
    for (const [subject, problem] of wrong) this.problems.add(`${subject} ${problem}`);
  }

  private async check(checks: readonly Check[]): Promise<void> {
    for (const problem of await runChecks(this.redis, checks)) this.problems.add(problem);
  }
}

function batches<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
    items.slice(i * size, (i + 1) * size),
  );
}
