import type { CloudEvent } from '../contract/events.generated.js';
import type { Deployment } from '../deployment.js';
import { toCloudEvent } from '../log/cloudEvent.js';
import { START } from '../log/entryId.js';
import { PAGE_SIZE, readLog } from '../log/read.js';
import { bucketOfId } from '../store/ids.js';

export interface HistoryPage {
  readonly events: readonly CloudEvent[];
  /** Entry id after which to go on; null if the end of the log is reached. */
  readonly next: string | null;
}

/** Entries of the log that one page looks at. */
const LOOKED_AT = 20 * PAGE_SIZE;

/**
 * What the log has of a session or account. The log has no index by subject: a page looks at so many entries and no more,
 * and may find none.
 * @param after entry id after which to begin; null: at the beginning of the log
 * @throws Unavailable
 */
export async function historyOf(
  { redis, keys }: Deployment,
  subject: string,
  after: string | null,
): Promise<HistoryPage> {
  const partition = keys.partitionOf(bucketOfId(subject));
  const events: CloudEvent[] = [];
  let looked = 0;
  for await (const event of readLog(redis, keys, partition, { from: after ?? START })) {
    if (event.subject === subject) events.push(toCloudEvent(event));
    looked += 1;
    if (looked === LOOKED_AT) return { events, next: event.id };
  }
  return { events, next: null };
}
