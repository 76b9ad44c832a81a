import type { Logger } from 'pino';
import type { Attempts } from '../account/attempts.js';
import type { Pace } from '../account/pace.js';
import type { Passwords } from '../account/passwords.js';
import type { Publisher } from '../bus/publisher.js';
import type { Leases } from '../cluster/lease.js';
import type { Presence } from '../cluster/presence.js';
import type { ClientMessage } from '../contract/client.generated.js';
import type { Validators } from '../contract/validators.js';
import type { RedisClock } from '../redis/clock.js';
import type { Limiter } from '../redis/limiter.js';
import type { UntilDone } from '../redis/untilDone.js';
import type { Accounts } from '../store/accounts.js';
import type { Log } from '../store/change.js';
import type { Claims } from '../store/claims.js';
import type { Matches } from '../store/matches.js';
import type { Names } from '../store/names.js';
import type { Sessions } from '../store/sessions.js';
import type { TokenSettings, Tokens } from '../store/tokens.js';
import type { Client } from './client.js';

/** Settings that handlers need. */
export interface HandlerSettings extends TokenSettings {
  /** How long a client waits for its change to be recorded, in ms. */
  readonly commitTimeoutMs: number;
  /** Characters of the shortest password that can be registered. */
  readonly passwordMin: number;
  /** Whether a logout revokes the token of its session. */
  readonly logoutRevokesToken: boolean;
  /** Whether email addresses are unique. */
  readonly uniqueEmails: boolean;
  /** Characters of the longest chat message, 0: no limit. */
  readonly chatCharacters: number;
}

/** What handlers work with. */
export interface Context {
  /** Id of this node. */
  readonly node: string;
  readonly settings: HandlerSettings;
  readonly validators: Validators<ClientMessage>;
  readonly log: Log;
  readonly sessions: Sessions;
  readonly accounts: Accounts;
  readonly tokens: Tokens;
  readonly claims: Claims;
  readonly names: Names;
  readonly matches: Matches;
  readonly untilDone: UntilDone;
  readonly passwords: Passwords;
  readonly attempts: Attempts;
  readonly presence: Presence<Client>;
  readonly leases: Leases;
  readonly publisher: Publisher;
  /** Counts changes of sessions by account: each is an event in the log, which a client must not fill. */
  readonly changes: Pace;
  /** Counts chat messages by account. */
  readonly chatLimit: Limiter;
  readonly clock: RedisClock;
  /** Somebody waits for a match. */
  readonly formMatches: () => void;
  /** How many players there are, on all nodes. */
  readonly players: () => number;
  readonly logger: Logger;
}
