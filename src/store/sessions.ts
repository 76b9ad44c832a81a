import { type NewEvent, parseRecord } from '../log/operation.js';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { together } from '../redis/together.js';
import { reading } from '../redis/unavailable.js';
import type { UntilDone } from '../redis/untilDone.js';
import type { SessionCommand } from '../session/commands.js';
import { decide, type Refusal } from '../session/decide.js';
import type { SessionEvent } from '../session/events.js';
import { evolve } from '../session/evolve.js';
import { initialState, isLive, type LiveState, type SessionState } from '../session/state.js';
import { type Change, type Commit, type Log, operationOf } from './change.js';
import { bucketOfId } from './ids.js';
import type { Names } from './names.js';
import {
  NOT_STORED,
  readSession,
  type SessionPlace,
  type Stored,
  sessionPlace,
  sessionWrites,
} from './sessionRecord.js';

/** What became of a command: recorded, or why not. */
export type Outcome =
  | {
      readonly done: true;
      readonly events: readonly SessionEvent[];
      readonly before: Stored;
      readonly after: Stored;
    }
  | Refused;

/** A command was not taken through; with the state that refused it. */
export interface Refused {
  readonly done: false;
  readonly refused: Refusal | 'guarded';
  readonly state: SessionState;
}

/** Events of a session as a change to commit, and the state that they lead to. */
export interface SessionChange {
  readonly events: readonly SessionEvent[];
  readonly change: Change;
  readonly after: Stored;
}

/** How a command is taken through. */
export interface ExecuteOptions {
  /** The session as last known; loaded if absent. */
  readonly known?: Stored | undefined;
  /** The name that a `rename` has chosen; null: the account's own. */
  readonly displayName?: string | null;
  /** A change of the same partition to commit together with it; if its checks fail, the outcome is `guarded`. */
  readonly also?: Change;
  readonly commit?: Commit;
  /** What is done if it is refused; the outcome is what becomes of that. */
  readonly otherwise?: (refused: Refused) => Promise<Outcome>;
}

/** Is told of every change of a session by this process, once it is recorded. */
export type SessionObserver = (sessionId: string, events: readonly SessionEvent[]) => void;

/** The sessions in Redis: loads them, and takes commands through decision and commit. */
export class Sessions {
  /** Look-ups by key, for each partition. */
  private readonly lookUps: ((key: string) => Promise<readonly string[]>)[] = [];

  constructor(
    private readonly redis: RedisClient,
    private readonly keys: Keys,
    private readonly log: Log,
    private readonly names: Names,
    private readonly untilDone: UntilDone,
    private readonly observer: SessionObserver = () => {},
  ) {}

  /** State and version of a session. @throws Unavailable */
  async load(sessionId: string): Promise<Stored> {
    const { key } = sessionPlace(this.keys, sessionId);
    return readSession(sessionId, parseRecord(await reading(this.redis.raw.hget(key, sessionId))));
  }

  /**
   * The live sessions of a token in the order in which they are to be resumed: those detached last first, then those attached
   * last. Of an account that has hundreds of sessions, not all are looked at. @throws Unavailable
   */
  ofToken(accountId: string, token: string): Promise<[id: string, Stored<LiveState>][]> {
    return this.lookUp(accountId).then((flat) => {
      const own: [string, Stored<LiveState>][] = [];
      for (let i = 0; i + 1 < flat.length; i += 2) {
        const session = readSession(flat[i]!, parseRecord(flat[i + 1]));
        if (isLiveStored(session) && session.state.token === token) own.push([flat[i]!, session]);
      }
      return own.length > 1 ? own.sort(([, a], [, b]) => rank(b.state) - rank(a.state)) : own;
    });
  }

  /** Those of the sessions that are live. All must be of one account. @throws Unavailable */
  async loadSome(accountId: string, sessionIds: readonly string[]): Promise<Map<string, Stored<LiveState>>> {
    if (sessionIds.length === 0) return new Map();
    const key = this.keyOf(accountId);
    const records = await reading(this.redis.raw.hmget(key, ...sessionIds));
    return liveSessions(sessionIds.map((id, i) => [id, records[i]]));
  }

  /** All live sessions of an account. @throws Unavailable */
  async loadAll(accountId: string): Promise<Map<string, Stored<LiveState>>> {
    return liveSessions(Object.entries(await reading(this.redis.raw.hgetall(this.keyOf(accountId)))));
  }

  /** Who ended a session from outside, if it was ended so lately. @throws Unavailable */
  async endedBy(sessionId: string): Promise<'operator' | 'account' | null> {
    const { partition } = sessionPlace(this.keys, sessionId);
    const note = await reading(this.redis.raw.get(this.keys.ended(partition, sessionId)));
    return note === 'operator' || note === 'account' ? note : null;
  }

  /** The change that begins a session; its id must be new, as random ones are. */
  begin(sessionId: string, command: Extract<SessionCommand, { type: 'start' }>): SessionChange {
    const decision = decide(command, initialState);
    if ('refused' in decision) throw new Error(`A new session was refused: ${decision.refused}`);
    const place = sessionPlace(this.keys, sessionId);
    const { events, change, after } = this.changeOf(place, sessionId, NOT_STORED, decision.events);
    return { events, change: { checks: [], events: change.events, writes: change.writes }, after };
  }

  /**
   * Takes a command through: load (unless `known`), decide, commit; when somebody else was faster, decide again on what
   * the session is then.
   * @throws Unavailable when the session could not be loaded
   */
  execute(sessionId: string, command: SessionCommand, options: ExecuteOptions = {}): Promise<Outcome> {
    const { known } = options;
    return known
      ? this.attempt(sessionId, command, options, known, false)
      : this.load(sessionId).then((stored) => this.attempt(sessionId, command, options, stored, true));
  }

  /** @param isFresh whether `current` was read for this command, so that a refusal is final */
  private attempt(
    sessionId: string,
    command: SessionCommand,
    options: ExecuteOptions,
    current: Stored,
    isFresh: boolean,
  ): Promise<Outcome> {
    const decision = decide(command, current.state);
    if ('refused' in decision) {
      return isFresh
        ? refusal(decision.refused, current, options)
        : this.execute(sessionId, command, { ...options, known: undefined });
    }
    const { events } = decision;
    const place = sessionPlace(this.keys, sessionId);
    const { displayName, also } = options;
    const endedBy = endedFromOutside(command);
    const { change, after } = this.changeOf(place, sessionId, current, events, { displayName, endedBy });
    const { partition } = place;
    const operation = also ? operationOf(partition, change, also) : operationOf(partition, change);
    const committed = options.commit ? options.commit(operation) : this.log.commit(operation);
    return committed.then((result): Outcome | Promise<Outcome> => {
      if (result.committed) {
        this.observer(sessionId, events);
        if (current.displayName !== null && current.displayName !== after.displayName) {
          this.names.freed(sessionId, current.displayName);
        }
        const stored = isLiveStored(after) ? stamped(after, result.at) : after;
        return { done: true, events, before: current, after: stored };
      }
      if (result.check >= OWN_CHECKS) return refusal('guarded', current, options);
      return this.attempt(sessionId, command, options, readSession(sessionId, result.found), true);
    });
  }

  /**
   * Like `execute`, but not to be put off, see `UntilDone`.
   * @throws CommitterClosed when the process is ending
   */
  async settle(sessionId: string, command: SessionCommand, known?: Stored): Promise<Outcome> {
    return this.untilDone(() => this.execute(sessionId, command, known ? { known } : {}));
  }

  /** Tells the observer of a session that was begun by a commit of its caller. */
  announce(sessionId: string, events: readonly SessionEvent[]): void {
    this.observer(sessionId, events);
  }

  private changeOf(
    place: SessionPlace,
    sessionId: string,
    before: Stored,
    events: readonly SessionEvent[],
    { displayName, endedBy }: { displayName?: string | null | undefined; endedBy?: string | undefined } = {},
  ): SessionChange {
    const at = isLive(before.state) ? before.state.since : 0;
    let { state, version } = before;
    const recorded: NewEvent[] = [];
    for (const event of events) {
      state = evolve(state, event, 0);
      version += 1;
      recorded.push({ type: event.type, subject: sessionId, version, data: event.data });
    }
    const after: Stored = {
      state,
      version,
      displayName: isLive(state) && state.isRenamed ? (displayName ?? before.displayName) : null,
    };
    return {
      events,
      after,
      change: {
        checks: [{ key: place.key, field: sessionId, version: before.version, at }],
        events: recorded,
        writes: sessionWrites(this.keys, place, sessionId, before, after, endedBy),
      },
    };
  }

  /** Those of a partition that are looked up in one turn of the event loop travel together. */
  private lookUp(accountId: string): Promise<readonly string[]> {
    const partition = this.keys.partitionOf(bucketOfId(accountId));
    this.lookUps[partition] ??= together((keys) => this.lookUpAll(keys), LOOKUPS);
    return this.lookUps[partition](this.keys.sessions(partition, accountId));
  }

  private lookUpAll(keys: readonly string[]): Promise<readonly string[][]> {
    const script = this.redis.script<string[][]>('lookUpSessions', LOOKUP_SCRIPT);
    return reading(script(keys.length, ...keys));
  }

  private keyOf(accountId: string): string {
    return this.keys.sessions(this.keys.partitionOf(bucketOfId(accountId)), accountId);
  }
}

function refusal(
  refused: Refused['refused'],
  { state }: Stored,
  { otherwise }: ExecuteOptions,
): Promise<Outcome> {
  const outcome = { done: false, refused, state } as const;
  return otherwise ? otherwise(outcome) : Promise.resolve(outcome);
}

/** Checks of a change of a session: its record. */
const OWN_CHECKS = 1;

/** Accounts whose sessions are looked up in one call. */
const LOOKUPS = 256;

/**
 * KEYS hashes of sessions. Returns for each what is in it, ids and records in turn. That of an account with hundreds of sessions is
 * not read as a whole, or its every login would hold Redis up.
 */
const LOOKUP_SCRIPT = `
local answers = {}
for i, key in ipairs(KEYS) do
  answers[i] = redis.call('HSCAN', key, 0, 'COUNT', 256)[2]
end
return answers
`;

/** Takes attached sessions below all detached ones, in ms. */
const DETACHED_FIRST = 1e15;

/** The higher, the sooner a session is resumed. */
function rank({ status, since }: LiveState): number {
  return status === 'detached' ? since : since - DETACHED_FIRST;
}

/** The state as it is stored: since the commit. */
export function stamped(after: Stored<LiveState>, at: number): Stored<LiveState> {
  const { play } = after.state;
  const hasJoined = play?.status === 'waiting' && play.since === 0;
  return {
    ...after,
    state: { ...after.state, since: at, play: hasJoined ? { status: 'waiting', since: at } : play },
  };
}

function isLiveStored(stored: Stored): stored is Stored<LiveState> {
  return isLive(stored.state);
}

function liveSessions(
  entries: Iterable<readonly [string, string | null | undefined]>,
): Map<string, Stored<LiveState>> {
  const sessions = new Map<string, Stored<LiveState>>();
  for (const [id, stored] of entries) {
    const session = readSession(id, parseRecord(stored));
    if (isLiveStored(session)) sessions.set(id, session);
  }
  return sessions;
}

function endedFromOutside(command: SessionCommand): string | undefined {
  return command.type === 'logOut' && command.by !== 'client' ? command.by : undefined;
}
