// Generated from schemas/ by `npm run generate`. Change the schemas, not this file.

/**
 * An operator has shut an account: its tokens were revoked, nobody can log in to it. Subject: the account.
 */
export interface AccountDisabled {
  /**
   * Which operator.
   */
  actor: string;
}

/**
 * An operator has opened a disabled account again. Subject: the account.
 */
export interface AccountEnabled {
  /**
   * Which operator.
   */
  actor: string;
}

/**
 * An account was created. Subject: the account.
 */
export type AccountRegistered = Record<string, never>;

/**
 * An event of the log as the command line prints it: CloudEvents 1.0 in JSON, with the extension attributes subjectversion and dataversion.
 */
export interface CloudEvent {
  /**
   * Version of the CloudEvents specification.
   */
  specversion: '1.0';
  /**
   * Partition and id of the stream entry, <partition>:<entry id>. Unique within a deployment.
   */
  id: string;
  /**
   * Id of the node that recorded the event.
   */
  source: string;
  /**
   * What happened. Each type has a schema of its data in this folder.
   */
  type: EventType;
  /**
   * Id of the session, account or match that changed, or of a node.
   */
  subject: string;
  /**
   * When it was recorded, by the clock of Redis: RFC 3339, UTC, with milliseconds.
   */
  time: string;
  /**
   * Version of the subject after this event.
   */
  subjectversion: number;
  /**
   * Version of the shape of the data of this type.
   */
  dataversion: number;
  /**
   * What the schema of the type says.
   */
  data: EventData[EventType];
}

/**
 * exited: the game server has ended. lost: nobody knows what became of it.
 */
export type MatchEndReason = 'exited' | 'lost';

/**
 * The game server of a match has ended. Subject: the match.
 */
export interface MatchEnded {
  reason: MatchEndReason;
}

/**
 * The game server of a match could not be started. Subject: the match.
 */
export type MatchFailed = Record<string, never>;

/**
 * A match has its players. Subject: the match.
 */
export interface MatchFormed {
  /**
   * Their sessions, in the order in which they joined.
   *
   * @minItems 1
   */
  players: [string, ...string[]];
}

/**
 * The game server of a match runs. Subject: the match.
 */
export interface MatchStarted {
  /**
   * Address for the players.
   */
  host: string;
  port: number;
  /**
   * Id of the game server, as its launcher has it.
   */
  server: string;
  /**
   * The machine that it runs on, or whatever else names those who can watch over it.
   */
  machine: string;
}

/**
 * An operator has a gateway node go. Subject: the node, by its id; it has no other events.
 */
export interface NodeDrained {
  /**
   * Which operator.
   */
  actor: string;
}

/**
 * A session is in the match queue. Subject: the session.
 */
export interface QueueJoined {
  /**
   * Its place in line, if it is an old one: when it joined first, Redis' time in ms since the epoch.
   */
  since?: number;
}

/**
 * client: it was asked to. detached, ended: so is the session. matched: a match has it. failed: the match it had came to nothing, and it is detached.
 */
export type QueueLeftReason = 'client' | 'detached' | 'ended' | 'matched' | 'failed';

/**
 * A session is not in the match queue any more. Subject: the session.
 */
export interface QueueLeft {
  reason: QueueLeftReason;
  /**
   * The match.
   */
  match?: string;
}

/**
 * closed: the connection ended. drained: its node shut down in order. node_lost: its node vanished. taken_over: another connection resumed the session.
 */
export type DetachReason = 'closed' | 'drained' | 'node_lost' | 'taken_over';

/**
 * A session lost its connection and waits to be resumed. Subject: the session.
 */
export interface SessionDetached {
  reason: DetachReason;
  /**
   * Which operator had the node drained.
   */
  actor?: string;
}

/**
 * A detached session was not resumed in time and is over. Subject: the session.
 */
export type SessionExpired = Record<string, never>;

/**
 * client: a logout on its own connection. operator: an operator. account: a logout of all sessions of the account.
 */
export type LogoutBy = 'client' | 'operator' | 'account';

/**
 * A session was ended on purpose. Subject: the session.
 */
export interface SessionLoggedOut {
  by: LogoutBy;
  /**
   * Which operator.
   */
  actor?: string;
}

/**
 * A session has another display name. Subject: the session. The name itself is not in the log.
 */
export interface SessionRenamed {
  /**
   * true: the player has chosen one. false: it is the account's username again.
   */
  chosen: boolean;
}

/**
 * A session was ended by another authentication on its connection. Subject: the session that ended.
 */
export interface SessionReplaced {
  /**
   * The session that took its place.
   */
  successor: string;
}

/**
 * A session is attached again, to another connection. Subject: the session.
 */
export interface SessionResumed {
  /**
   * Id of the node that holds the connection.
   */
  node: string;
  /**
   * Number of the connection on that node since it booted. Node and connection are the epoch of the attachment.
   */
  connection: number;
}

/**
 * A session began and is attached to a connection. Subject: the session.
 */
export interface SessionStarted {
  /**
   * The account that the session belongs to.
   */
  accountId: string;
  /**
   * Reference to the token: a hash of it, 22 characters of base64url. Never the token itself.
   */
  token: string;
  /**
   * Id of the node that holds the connection.
   */
  node: string;
  /**
   * Number of the connection on that node since it booted. Node and connection are the epoch of the attachment.
   */
  connection: number;
}

/**
 * A token was issued to an account. Subject: the account.
 */
export interface TokenIssued {
  /**
   * Reference to the token: a hash of it, 22 characters of base64url. Never the token itself.
   */
  token: string;
  /**
   * When the token expires, in ms since the epoch.
   */
  expiresAt: number;
}

/**
 * expired: its time had run out. limit: the account had too many tokens, the oldest went. operator: by an operator. account: by a logout of all sessions of the account, or by any logout with LOGOUT_REVOKES_TOKEN.
 */
export type RevokeReason = 'expired' | 'limit' | 'operator' | 'account';

/**
 * A token of an account was taken from it. Subject: the account.
 */
export interface TokenRevoked {
  /**
   * Reference to the token: a hash of it, 22 characters of base64url. Never the token itself.
   */
  token: string;
  reason: RevokeReason;
  /**
   * Which operator.
   */
  actor?: string;
}

/** The data of each type of event. */
export interface EventData {
  'account.disabled': AccountDisabled;
  'account.enabled': AccountEnabled;
  'account.registered': AccountRegistered;
  'match.ended': MatchEnded;
  'match.failed': MatchFailed;
  'match.formed': MatchFormed;
  'match.started': MatchStarted;
  'node.drained': NodeDrained;
  'queue.joined': QueueJoined;
  'queue.left': QueueLeft;
  'session.detached': SessionDetached;
  'session.expired': SessionExpired;
  'session.logged_out': SessionLoggedOut;
  'session.renamed': SessionRenamed;
  'session.replaced': SessionReplaced;
  'session.resumed': SessionResumed;
  'session.started': SessionStarted;
  'token.issued': TokenIssued;
  'token.revoked': TokenRevoked;
}

/** Every type of event in the log. */
export type EventType = keyof EventData;
