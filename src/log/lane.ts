import { readFileSync } from 'node:fs';
import { isPassing, type RedisClient } from '../redis/client.js';
import { Refusals } from '../redis/refusals.js';
import { Unavailable } from '../redis/unavailable.js';
import type { Batch } from './batch.js';
import type { CommitterOptions } from './committer.js';
import { type CommitResult, parseRecord } from './operation.js';

const SCRIPT = readFileSync(new URL('./commit.lua', import.meta.url), 'utf8');

/** How long Redis remembers the results of a lane's last batch. */
const RECORD_SECONDS = 24 * 3600;
/** A batch is not sent again after this time, while Redis still remembers it for certain. */
const GIVE_UP_MS = (RECORD_SECONDS - 3600) * 1000;

/** No commit comes later than this: it may wait for the batch before it, and be sent again itself. */
export const LATEST_COMMIT_MS = 2 * RECORD_SECONDS * 1000;

const RETRY_MIN_MS = 10;
const RETRY_MAX_MS = 500;

type CommitCommand = (keyCount: number, ...keysAndArguments: (string | number)[]) => Promise<string>;

/** A sequence of numbered batches, one in flight at a time; see `commit.lua` for what the number is good for. */
export class Lane {
  private readonly keys: [log: string, lane: string];
  private batch: Batch | null = null;
  private sentAt = 0;
  private number = 0;
  private closed = false;
  private readonly refusals: Refusals;

  constructor(
    partition: number,
    number: number,
    private readonly options: CommitterOptions,
    private readonly onFree: () => void,
  ) {
    this.refusals = new Refusals(options.logger);
    const { keys, node } = options;
    this.keys = [keys.log(partition), keys.lane(partition, node, number)];
  }

  /** Operations of the batch in flight. */
  get inFlight(): number {
    return this.batch?.size ?? 0;
  }

  /** Time since the batch in flight was first sent, in ms. */
  get batchAgeMs(): number {
    return this.batch ? performance.now() - this.sentAt : 0;
  }

  /** Sends a batch, again and again until it is answered, and settles its operations. The lane must be free. */
  send(batch: Batch): void {
    this.batch = batch;
    this.sentAt = performance.now();
    this.number += 1;
    this.deliver(batch).then(
      (results) => {
        this.beFree(batch);
        batch.settle(results);
      },
      (error) => {
        this.refusals.note(error);
        this.beFree(batch);
        batch.fail(error);
      },
    );
  }

  /** Gives up those operations that are due; their batch goes on. */
  expire(now: number): void {
    this.batch?.expire(now);
  }

  /** Stops sending again. */
  close(): void {
    this.closed = true;
  }

  /** What waits is sent first, and is under way while those who asked for this batch go on. */
  private beFree(batch: Batch): void {
    this.options.observer?.committed(batch.size, performance.now() - this.sentAt);
    this.batch = null;
    this.onFree();
  }

  private async deliver(batch: Batch): Promise<CommitResult[]> {
    const { redis, logger, waitReplicas = 0 } = this.options;
    const { keys, json } = batch.pack();
    const commit = commitCommand(redis);
    for (let attempt = 0; ; attempt++) {
      try {
        const keyCount = this.keys.length + keys.length;
        const answer = await commit(keyCount, ...this.keys, ...keys, this.number, RECORD_SECONDS, json);
        if (waitReplicas > 0) await waitForReplicas(redis, this.keys[1], waitReplicas);
        return unpackResults(answer);
      } catch (error) {
        if (!(error instanceof Error) || !isPassing(error)) throw error;
        if (this.closed || this.batchAgeMs > GIVE_UP_MS) throw new Unavailable(error);
        if (attempt === 0) {
          logger.warn({ err: error, batch: this.number, operations: batch.size }, 'commit is tried again');
        }
        const delayMs = Math.min(RETRY_MIN_MS * 2 ** attempt, RETRY_MAX_MS);
        await new Promise((resolve) => setTimeout(resolve, delayMs * (0.5 + Math.random() / 2)));
      }
    }
  }
}

/** Too few replicas have acknowledged yet: the batch is sent again, is recognised, and waits again. */
class TooFewReplicas extends Error {}

const REPLICA_WAIT_MS = 1000;

async function waitForReplicas(redis: RedisClient, lane: string, replicas: number): Promise<void> {
  const acknowledged = await redis.waitForReplicas(lane, RECORD_SECONDS, replicas, REPLICA_WAIT_MS);
  if (acknowledged < replicas) {
    throw new TooFewReplicas(`${acknowledged} of ${replicas} replicas have the batch`);
  }
}

function commitCommand(redis: RedisClient): CommitCommand {
  return redis.script('commit', SCRIPT);
}

type PackedResult = string | number | [check: number, found: string];

/** Reads what the script returns: how many operations in succession were committed at a time, and those that were refused. */
export function unpackResults(json: string): CommitResult[] {
  const packed = JSON.parse(json) as PackedResult[];
  const results: CommitResult[] = [];
  for (let i = 0; i < packed.length; i += 1) {
    const result = packed[i]!;
    if (typeof result === 'object') {
      results.push({ committed: false, check: result[0], found: parseRecord(result[1]) });
      continue;
    }
    const committed = { committed: true, at: Number(result) } as const;
    i += 1;
    for (let count = packed[i] as number; count > 0; count -= 1) results.push(committed);
  }
  return results;
}
