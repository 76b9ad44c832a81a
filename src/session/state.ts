/**
 * Where a session is attached: a connection, counted from 1 since the boot of its node, whose id is new at each boot.
 * No two attachments are ever equal, so one also serves as the epoch of a session's stay there.
 */
export interface Attachment {
  readonly node: string;
  readonly connection: number;
}

/**
 * What a session has to do with matches. `since` is when it joined the queue, Redis' time in ms since the epoch. A match
 * keeps those it has taken until they join again.
 */
export type Play =
  | { readonly status: 'waiting'; readonly since: number }
  | { readonly status: 'matched'; readonly since: number; readonly match: string };

export type DetachReason = 'closed' | 'drained' | 'node_lost' | 'taken_over';

interface Ownership {
  readonly accountId: string;
  /** Hash of the token that the session was begun with. */
  readonly token: string;
  /** Whether it has a display name of its own. Which one is not in the log, and no matter of state. */
  readonly isRenamed: boolean;
  readonly play: Play | null;
}

/** State of a session. `since` is the time of the last change, Redis' time in ms since the epoch. */
export type SessionState =
  | { readonly status: 'none' }
  | (Ownership & { readonly status: 'attached'; readonly attachment: Attachment; readonly since: number })
  | (Ownership & {
      readonly status: 'detached';
      /** Where it was attached last. */
      readonly attachment: Attachment;
      readonly reason: DetachReason;
      readonly since: number;
    })
  | { readonly status: 'ended' };

export type LiveState = Extract<SessionState, { status: 'attached' | 'detached' }>;

export const initialState: SessionState = { status: 'none' };

export function sameAttachment(a: Attachment, b: Attachment): boolean {
  return a.connection === b.connection && a.node === b.node;
}

/** Whether a session is under way, attached or waiting to be resumed. */
export function isLive(state: SessionState): state is LiveState {
  return state.status === 'attached' || state.status === 'detached';
}
