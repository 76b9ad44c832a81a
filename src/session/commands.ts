import type { Attachment, Play } from './state.js';

/** What may be asked of a session, imperative. Attachments say on whose behalf: a stale one is refused. */
export type SessionCommand =
  /** Begin a session, attached to a connection. */
  | {
      readonly type: 'start';
      readonly accountId: string;
      readonly token: string;
      readonly attachment: Attachment;
    }
  /**
   * Attach to a new connection. A detached session always allows it; one that is attached only if its node is
   * `lostNode`, or with `takeOver`.
   */
  | {
      readonly type: 'resume';
      readonly attachment: Attachment;
      readonly lostNode?: string;
      readonly takeOver?: boolean;
    }
  /**
   * Attach again to the connection that never went away, after its node was taken for lost. `play` is what the connection knows
   * of: who waited for a match then has his place in line again.
   */
  | { readonly type: 'reclaim'; readonly attachment: Attachment; readonly play: Play | null }
  /** The connection is gone, or its node is going. */
  | {
      readonly type: 'detach';
      readonly attachment: Attachment;
      readonly reason: 'closed' | 'drained';
      /** Which operator drains the node. */
      readonly actor?: string;
    }
  /** The node is gone. */
  | { readonly type: 'loseNode'; readonly node: string }
  /** The client says goodbye on its connection. */
  | { readonly type: 'logOut'; readonly by: 'client'; readonly attachment: Attachment }
  /** Somebody else ends the session, wherever it is. `actor` says who. */
  | { readonly type: 'logOut'; readonly by: 'operator' | 'account'; readonly actor?: string }
  /** The client chooses a display name, or goes back to its account's name. */
  | { readonly type: 'rename'; readonly attachment: Attachment; readonly chosen: boolean }
  /** The client wants to play. `over`: the match that it was in last is over, or on its way without need of it. */
  | { readonly type: 'joinQueue'; readonly attachment: Attachment; readonly over?: string | undefined }
  /** The client doesn't want to play now. */
  | { readonly type: 'leaveQueue'; readonly attachment: Attachment }
  /** A match takes the session from the queue. */
  | { readonly type: 'match'; readonly match: string }
  /** The match that has the session has come to nothing: back to its place in line. */
  | { readonly type: 'unmatch'; readonly match: string }
  /** The connection has begun another session, `successor`. */
  | { readonly type: 'replace'; readonly attachment: Attachment; readonly successor: string }
  /** Nobody has resumed the session in time. `now` is Redis' time, in ms; `resumeMs` how long a session waits. */
  | { readonly type: 'expire'; readonly now: number; readonly resumeMs: number };
