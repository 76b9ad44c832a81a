import type { LogoutBy } from '../contract/events.generated.js';
import type { DetachReason, LiveState, Play } from '../session/state.js';
import { accountOfSession } from '../store/ids.js';
import type { Stored } from '../store/sessionRecord.js';

/**
 * A session as the connection that it is attached to holds it. There are as many as players, so all that is known of one is in one
 * flat object: it takes half of what states and attachments do, and the garbage collector has nothing to follow.
 */
export class HeldSession {
  /** The name that was chosen. */
  private readonly ownName: string | null;
  private readonly version: number;
  private readonly token: string;
  private readonly node: string;
  private readonly connection: number;
  private readonly since: number;
  private readonly play: Play | null;
  /** Set if it is known to be detached, which a node that was taken for lost may learn of its own sessions. */
  private readonly reason: DetachReason | null;

  /** @param heldSince when it was attached here, by `performance.now()`; a whole number takes no memory of its own */
  constructor(
    readonly id: string,
    readonly username: string,
    { version, displayName, state }: Stored<LiveState>,
    readonly heldSince: number,
  ) {
    this.ownName = displayName;
    this.version = version;
    this.token = state.token;
    this.node = state.attachment.node;
    this.connection = state.attachment.connection;
    this.since = state.since;
    this.play = state.play;
    this.reason = state.status === 'detached' ? state.reason : null;
  }

  get accountId(): string {
    return accountOfSession(this.id);
  }

  /** What others see: the name that was chosen, or the username. */
  get displayName(): string {
    return this.ownName ?? this.username;
  }

  /** As last known; commits start from it. */
  get known(): Stored<LiveState> {
    const { version, ownName, accountId, token, play, node, connection, since, reason } = this;
    const isRenamed = ownName !== null;
    const attachment = { node, connection };
    const state: LiveState =
      reason === null
        ? { status: 'attached', accountId, token, isRenamed, play, attachment, since }
        : { status: 'detached', accountId, token, isRenamed, play, attachment, reason, since };
    return { version, displayName: ownName, state };
  }
}

/** Who may end a session other than its own client. */
export type OutsideEnd = Exclude<LogoutBy, 'client'>;

/** A connection, as far as other nodes can concern it. */
export interface Holder {
  /** Number of the connection on this node. */
  readonly number: number;
  session: HeldSession | null;
  /** Its session was ended from outside; it has none any more. */
  endedBy(who: OutsideEnd): void;
  /** Its session was taken over by another connection. */
  takenOver(): void;
  /** Its session was resumed elsewhere, or ran out, while this node was taken for lost. */
  lost(): void;
}

/** What has become of a session elsewhere. */
export type Loss = OutsideEnd | 'taken_over' | 'lost';

/** Losses that came before the session they concern was held here. */
const EARLY_LOSSES = 1000;

/** Which session is attached to which connection of this node: the node's own view, checked against Redis by reconciling. */
export class Presence<H extends Holder = Holder> {
  private readonly holders = new Map<string, H>();
  private readonly early = new Map<string, Loss>();
  private readonly leaving = new Set<string>();

  /** @param lossOf why another connection of this node may have a session now that is still held by one that was not told yet */
  constructor(private readonly lossOf: (session: HeldSession) => Loss = () => 'taken_over') {}

  get size(): number {
    return this.holders.size;
  }

  /**
   * Notes that a connection has a session from now on. If the session was lost meanwhile, that is passed on at once. Should
   * another connection of this node have had it, and not heard yet that it was taken over or lost, it is told.
   */
  hold(holder: H, session: HeldSession): void {
    const loss = this.early.size > 0 ? this.earlyLoss(session.id, holder.number) : undefined;
    if (loss) {
      tell(holder, loss);
      return;
    }
    const previous = this.holders.get(session.id)?.session;
    if (previous) this.lose(session.id, this.lossOf(previous));
    holder.session = session;
    this.holders.set(session.id, holder);
  }

  /** Takes the session from a connection and returns it; null if it has none. */
  release(holder: H): HeldSession | null {
    const { session } = holder;
    if (session) {
      holder.session = null;
      this.holders.delete(session.id);
    }
    return session;
  }

  /** Notes that a session that was released is about to end, until `left` says that this is recorded. */
  leaves(sessionId: string): void {
    this.leaving.add(sessionId);
  }

  left(sessionId: string): void {
    this.leaving.delete(sessionId);
  }

  /** Waits until no released session is about to end any more, at most `timeoutMs`. @returns whether that is so */
  async untilNoneLeaves(timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (this.leaving.size > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return this.leaving.size === 0;
  }

  /** Whether a session belongs here, though perhaps not for long: it is held, or about to end. */
  concerns(sessionId: string): boolean {
    return this.holders.has(sessionId) || this.leaving.has(sessionId);
  }

  /**
   * A session was lost: its connection, if it is here, has none from now on and is told; if not, it may be about to hold it.
   * @param connection if given, only that connection can have lost it
   */
  lose(sessionId: string, loss: Loss, connection?: number): void {
    const holder = this.holders.get(sessionId);
    if (holder && (connection === undefined || holder.number === connection)) {
      this.release(holder);
      tell(holder, loss);
      return;
    }
    this.early.set(concern(sessionId, connection), loss);
    if (this.early.size > EARLY_LOSSES) this.early.delete(this.early.keys().next().value!);
  }

  /** The connection that has a session, if it is on this node. */
  holderOf(sessionId: string): H | undefined {
    return this.holders.get(sessionId);
  }

  /** All sessions that are held, also for who takes several turns of the event loop to look at them. */
  *held(): Generator<HeldSession> {
    for (const { session } of this.holders.values()) if (session) yield session;
  }

  /** Takes out what has become of a session, or of one connection's, before it was held here. */
  private earlyLoss(sessionId: string, connection: number): Loss | undefined {
    for (const concerned of [concern(sessionId, connection), concern(sessionId)]) {
      const loss = this.early.get(concerned);
      if (loss && this.early.delete(concerned)) return loss;
    }
    return undefined;
  }

  /** Keeps what is known of a session in step with a commit. */
  update(sessionId: string, known: Stored<LiveState>): void {
    const holder = this.holders.get(sessionId);
    const session = holder?.session;
    if (session) {
      holder.session = new HeldSession(sessionId, session.username, known, session.heldSince);
    }
  }
}

/** Whom an early loss concerns: whoever holds the session, or only one connection. */
function concern(sessionId: string, connection?: number): string {
  return connection === undefined ? sessionId : `${sessionId} ${connection}`;
}

function tell(holder: Holder, loss: Loss): void {
  if (loss === 'taken_over') holder.takenOver();
  else if (loss === 'lost') holder.lost();
  else holder.endedBy(loss);
}
