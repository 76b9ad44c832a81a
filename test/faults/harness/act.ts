/** What a player may ask for that is to be compared with the log, or must at least be answered. */
export type Request =
  | 'token_auth'
  | 'login'
  | 'logout'
  | 'set_username'
  | 'join_queue'
  | 'leave_queue'
  | 'count';

/**
 * `done`: he was told that it is done. `later`: that it could not be done now; it may be done later, a logout will be.
 * `unknown`: he was told nothing. `refused`: he had lost his session. `unasked`: for all he knows it is not to be answered.
 */
export type Outcome = 'done' | 'later' | 'unknown' | 'refused' | 'unasked';

/** One thing that a player did, and what he was told of it. He does one after the other. */
export interface Act {
  readonly request: Request;
  /** By the wall clock, in ms. */
  readonly askedAt: number;
  /** When he was told, or his connection ended, or he gave it up. */
  readonly endedAt: number;
  readonly outcome: Outcome;
  /** The token by which he logged in, or the one that he was given. */
  readonly token?: string;
}
