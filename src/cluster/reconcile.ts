import type { Logger } from 'pino';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { Refusals } from '../redis/refusals.js';
import { scanSet } from '../redis/scan.js';
import { Unavailable } from '../redis/unavailable.js';
import { isLive, sameAttachment } from '../session/state.js';
import { bucketOfId } from '../store/ids.js';
import type { Sessions } from '../store/sessions.js';
import type { Leases } from './lease.js';
import type { HeldSession, Presence } from './presence.js';

export interface ReconcilerOptions {
  readonly redis: RedisClient;
  readonly keys: Keys;
  readonly node: string;
  readonly sessions: Sessions;
  readonly presence: Presence;
  readonly leases: Leases;
  readonly logger: Logger;
  /** Whether a connection of this node, by number, is handling a message. */
  readonly isBusy: (connection: number) => boolean;
}

const EVERY_MS = 30_000;
const RETRY_MS = 1000;
const AT_ONCE = 128;

/** Compares the sessions that this node holds with those that Redis says it holds, and puts right what differs. */
export class Reconciler {
  private timer: NodeJS.Timeout | undefined;
  private running = false;
  private wanted = false;
  /** Whether something could not be judged, because it is just being changed. */
  private isLeftAlone = false;
  private closed = false;

  private readonly refusals: Refusals;

  constructor(private readonly options: ReconcilerOptions) {
    this.refusals = new Refusals(options.logger);
    this.schedule(EVERY_MS);
  }

  /** Compares as soon as possible. */
  request(): void {
    if (this.running) this.wanted = true;
    else this.schedule(0);
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
  }

  private schedule(delayMs: number): void {
    clearTimeout(this.timer);
    if (!this.closed) this.timer = setTimeout(() => void this.run(), delayMs * (1 + Math.random() / 10));
  }

  private async run(): Promise<void> {
    this.running = true;
    this.wanted = false;
    this.isLeftAlone = false;
    let nextMs = EVERY_MS;
    const startedAt = performance.now();
    try {
      const held = groupByPartition(this.options.keys, this.options.presence.held());
      for (let partition = 0; partition < this.options.keys.partitions; partition++) {
        if (this.closed) return;
        await this.compare(partition, held.get(partition) ?? []);
      }
      if (!this.wanted) this.options.leases.compared(startedAt);
      if (this.isLeftAlone) nextMs = RETRY_MS;
    } catch (error) {
      nextMs = RETRY_MS;
      this.refusals.note(error);
      if (!(error instanceof Unavailable)) this.options.logger.error({ err: error }, 'reconciling failed');
    }
    this.running = false;
    this.schedule(this.wanted ? 0 : nextMs);
  }

  /** @param held what was held before Redis is asked */
  private async compare(partition: number, held: readonly HeldSession[]): Promise<void> {
    const { redis, keys, node, presence } = this.options;
    const stored = new Set<string>();
    for await (const ids of scanSet(redis, keys.nodeSessions(partition, node))) {
      for (const id of ids) stored.add(id);
    }
    const missing = held.filter(({ id }) => !stored.delete(id));
    await inBatches(missing, async ({ id, heldSince }) => {
      const isHeldStill = () => presence.holderOf(id)?.session?.heldSince === heldSince;
      if (isHeldStill()) await this.putRight(id, heldSince, isHeldStill);
    });
    await inBatches([...stored], async (id) => {
      if (!presence.concerns(id)) await this.letGo(id);
    });
  }

  /** A session is held here, and Redis says it isn't. */
  private async putRight(id: string, heldSince: number, isHeldStill: () => boolean): Promise<void> {
    const { sessions, presence, leases, node, logger } = this.options;
    const { state } = await sessions.load(id);
    const holder = presence.holderOf(id);
    if (!holder || !isHeldStill()) return;
    const own = { node, connection: holder.number };

    if (!isLive(state)) {
      const who = await sessions.endedBy(id);
      if (isHeldStill()) presence.lose(id, who ?? 'lost');
      return;
    }
    if (sameAttachment(state.attachment, own)) {
      if (state.status === 'attached') return;
      const { play } = holder.session!.known.state;
      const outcome = await sessions.execute(id, { type: 'reclaim', attachment: own, play });
      if (!outcome.done) {
        this.wanted = true;
      } else if (isLive(outcome.after.state)) {
        logger.info({ session: id }, 'session reclaimed');
        presence.update(id, { ...outcome.after, state: outcome.after.state });
      }
      return;
    }
    presence.lose(id, leases.lossOf({ heldSince }));
  }

  /** Redis says a session is held here, and it isn't. What is just being begun or ended is left alone. */
  private async letGo(id: string): Promise<void> {
    const { sessions, presence, node, isBusy } = this.options;
    const known = await sessions.load(id);
    const { state } = known;
    if (state.status !== 'attached' || state.attachment.node !== node || presence.concerns(id)) return;
    if (isBusy(state.attachment.connection)) {
      this.isLeftAlone = true;
      return;
    }
    const { attachment } = state;
    await sessions.execute(id, { type: 'detach', attachment, reason: 'closed' }, { known });
  }
}

async function inBatches<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  for (let i = 0; i < items.length; i += AT_ONCE) await Promise.all(items.slice(i, i + AT_ONCE).map(work));
}

function groupByPartition(keys: Keys, sessions: readonly HeldSession[]): Map<number, HeldSession[]> {
  const groups = new Map<number, HeldSession[]>();
  for (const session of sessions) {
    const partition = keys.partitionOf(bucketOfId(session.id));
    const group = groups.get(partition);
    if (group) group.push(session);
    else groups.set(partition, [session]);
  }
  return groups;
}
