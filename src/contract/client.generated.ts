// Generated from schemas/ by `npm run generate`. Change the schemas, not this file.

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
  | LoginMessage
  | LogoutMessage
  | RegisterMessage
  | TokenAuthMessage;
