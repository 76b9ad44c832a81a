// Generated from schemas/ by `npm run generate`. Change the schemas, not this file.

/**
 * A login or token_auth failed. A session that the connection had before goes on.
 */
export interface AuthError {
  type: 'auth_error';
  payload: {
    /**
     * What went wrong, for people.
     */
    message: string;
  };
}

/**
 * A login or token_auth succeeded: the connection has a session.
 */
export interface AuthSuccess {
  type: 'auth_success';
  payload: {
    /**
     * Name of the account.
     */
    username: string;
    /**
     * The token issued by the login, or the one that was sent: a UUID.
     */
    token: string;
  };
}

/**
 * Answers leave_queue: the session is not in the match queue any more.
 */
export interface Dequeued {
  type: 'dequeued';
}

/**
 * Answers set_username.
 */
export interface DisplayNameUpdated {
  type: 'display_name_updated';
  /**
   * The display name, after NFC.
   */
  payload: string;
}

/**
 * What went wrong, for programs.
 */
export type ErrorCode =
  | 'AUTH_REQUIRED'
  | 'REGISTRATION_ERROR'
  | 'INVALID_MESSAGE'
  | 'UNKNOWN_TYPE'
  | 'INVALID_PAYLOAD'
  | 'RATE_LIMITED'
  | 'SERVICE_UNAVAILABLE';

/**
 * A message was refused; auth_error answers login and token_auth instead.
 */
export interface ErrorMessage {
  type: 'error';
  payload: {
    /**
     * What went wrong, for people.
     */
    message: string;
    code: ErrorCode;
  };
}

/**
 * Somebody said something to all. Comes to the sender, too.
 */
export interface GlobalChat {
  type: 'global_chat';
  payload: {
    /**
     * Display name of the sender.
     */
    username: string;
    message: string;
  };
}

/**
 * The session of this connection has ended. Answers a logout without payload; with payload it comes unasked.
 */
export interface LoggedOut {
  type: 'logged_out';
  /**
   * Only when the client did not ask.
   */
  payload?: {
    /**
     * Who ended the session: an operator, or its account by a logout of all sessions elsewhere.
     */
    reason: 'operator' | 'account';
  };
}

/**
 * The game server of a match could not be started. The player is in the queue again, first in line.
 */
export interface MatchError {
  type: 'match_error';
  payload: {
    message: string;
  };
}

/**
 * A match of this player has a game server.
 */
export interface MatchFound {
  type: 'match_found';
  payload: {
    /**
     * Port of the game server.
     */
    port: number;
    /**
     * Display names of the players.
     */
    players: string[];
    /**
     * Id of the game server, as its launcher has it.
     */
    containerID: string;
    /**
     * Address of the game server.
     */
    host: string;
  };
}

/**
 * Answers count: open connections on all nodes, 2 seconds old at most.
 */
export interface PlayerCount {
  type: 'player_count';
  payload: number;
}

/**
 * Somebody said something to this account.
 */
export interface PrivateChat {
  type: 'private_chat';
  payload: {
    /**
     * Display name of the sender.
     */
    username: string;
    message: string;
  };
}

/**
 * Answers join_queue: the session is in the match queue.
 */
export interface Queued {
  type: 'queued';
}

/**
 * The account exists, and the connection has a session of it.
 */
export interface RegisterSuccess {
  type: 'register_success';
  payload: {
    success: true;
    message: 'Registration successful';
    autoLogin: true;
    /**
     * Name of the account.
     */
    username: string;
    /**
     * The token: a UUID.
     */
    token: string;
  };
}

/** Every message that the server sends. */
export type ServerMessage =
  | AuthError
  | AuthSuccess
  | Dequeued
  | DisplayNameUpdated
  | ErrorMessage
  | GlobalChat
  | LoggedOut
  | MatchError
  | MatchFound
  | PlayerCount
  | PrivateChat
  | Queued
  | RegisterSuccess;
