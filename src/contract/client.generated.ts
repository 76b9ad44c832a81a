// Generated from schemas/ by `npm run generate`. Change the schemas, not this file.

/**
 * Asks for the number of players.
 */
export interface CountMessage {
  type: 'count';
  /**
   * Ignored, any JSON value.
   */
  payload?: unknown;
}

/**
 * Says something to every authenticated connection.
 */
export interface GlobalChatMessage {
  type: 'global_chat';
  /**
   * At most CHAT_CHARACTERS characters.
   */
  payload: string;
}

/**
 * Joins the match queue.
 */
export interface JoinQueueMessage {
  type: 'join_queue';
  /**
   * Ignored, any JSON value.
   */
  payload?: unknown;
}

/**
 * Leaves the match queue.
 */
export interface LeaveQueueMessage {
  type: 'leave_queue';
  /**
   * Ignored, any JSON value.
   */
  payload?: unknown;
}

/**
 * Authenticates the connection by username and password. Every login issues a new token.
 */
export interface LoginMessage {
  type: 'login';
  payload: {
    username: string;
    password: string;
  };
}

/**
 * Ends the session of this connection. The connection stays open and the token stays valid.
 */
export interface LogoutMessage {
  type: 'logout';
  /**
   * Ignored, any JSON value.
   */
  payload?: unknown;
}

/**
 * Ends every session of the account, on every node, and revokes its tokens.
 */
export interface LogoutAllMessage {
  type: 'logout_all';
  /**
   * Ignored, any JSON value.
   */
  payload?: unknown;
}

/**
 * What every message of a client is: an object with a type. Other members are ignored unless the schema of the type names them.
 */
export interface MessageEnvelope {
  /**
   * Name of the message type.
   */
  type: string;
  /**
   * Depends on the type.
   */
  payload?: unknown;
}

/**
 * Says something to every connection of one account.
 */
export interface PrivateChatMessage {
  type: 'private_chat';
  payload: {
    /**
     * Username of the account, or the display name that one of its sessions has.
     */
    target: string;
    /**
     * At most CHAT_CHARACTERS characters.
     */
    message: string;
  };
}

/**
 * Creates an account and authenticates the connection. Only the shape is checked here: each limit of a length has an error text of its own and is checked in code.
 */
export interface RegisterMessage {
  type: 'register';
  payload: {
    /**
     * 3 to 50 characters, none of them invisible. Compared exactly, after NFC.
     */
    username: string;
    /**
     * 6 to 128 characters.
     */
    password: string;
    /**
     * Email address; null or absent for none.
     */
    email?: string | null;
  };
}

/**
 * Chooses the display name of the session.
 */
export interface SetUsernameMessage {
  type: 'set_username';
  /**
   * At most 50 characters, none of them invisible; of no other player.
   */
  payload: string;
}

/**
 * Authenticates the connection by a token. Resumes the session of the token that was detached last, or starts a new one.
 */
export interface TokenAuthMessage {
  type: 'token_auth';
  payload: {
    /**
     * UUID, in any letter case.
     */
    token: string;
    /**
     * true takes over the session of the token even if its old connection still looks alive; that one is closed with 4001.
     */
    resume?: boolean;
  };
}

/** Every message of a client that the server knows. */
export type ClientMessage =
  | CountMessage
  | GlobalChatMessage
  | JoinQueueMessage
  | LeaveQueueMessage
  | LoginMessage
  | LogoutMessage
  | LogoutAllMessage
  | PrivateChatMessage
  | RegisterMessage
  | SetUsernameMessage
  | TokenAuthMessage;
