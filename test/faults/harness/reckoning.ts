import { hashToken } from '../../../src/store/ids.js';
import type { LogEntry } from '../../support/log.js';
import type { Act, Request } from './act.js';
import type { Regular } from './regular.js';

/** Who says what he did and was told. */
export type Witness = Pick<Regular, 'number' | 'account' | 'diary' | 'visits'>;

export interface ReckoningOptions {
  /**
   * Whether nothing broke off in the middle and no process died, so that what was read was answered, and what was not
   * answered is not recorded.
   */
  readonly isExact?: boolean;
  /** Whether what had been promised for later may be missing, because the process that promised it died. */
  readonly promisesDie?: boolean;
  /** Whether nodes may have been taken for lost. */
  readonly losesNodes?: boolean;
  /** Whether nodes were drained. */
  readonly drains?: boolean;
  /** Whether what was recorded between two times may be missing though it was acknowledged: by the wall clock, in ms. */
  readonly isExcused?: (from: number, to: number) => boolean;
  /** How long a detached session lives at least, in ms. */
  readonly resumeMs: number;
}

/** By how much the clock of Redis and ours may differ, both being of this machine, in ms. */
const SLACK_MS = 20;

/** What is promised for later is recorded so long after Redis is back, in ms. */
const LATE_MS = 20_000;

/** A node that goes leaves unread what comes so long before the end of a connection, in ms. */
const UNREAD_MS = 2000;

/**
 * What a player was told that is not recorded, and what is recorded of his account without a cause. Each thing that he was
 * told is looked for by itself, at the time when it was asked for and answered, and on the session that he then had.
 * @param log the events of his account, its tokens and sessions, in their order
 */
export function liesAbout(player: Witness, log: readonly LogEntry[], options: ReckoningOptions): string[] {
  return new Reckoning(player, log, options).lies();
}

/** An event, and whether it is known by now what has caused it. */
interface Step {
  readonly entry: LogEntry;
  readonly at: number;
  /** The event before it, and the one behind it, of the same subject. */
  previous: Step | undefined;
  next: Step | undefined;
  isExplained: boolean;
}

/** An act, the sessions that it may have been about, and whether an event is known to be of it. */
interface Cause {
  readonly act: Act;
  /** Null: any. */
  readonly sessions: ReadonlySet<string> | null;
  isUsed: boolean;
}

class Reckoning {
  private readonly steps: Step[];
  private readonly causes: Cause[] = [];
  private readonly found: string[] = [];
  /** Token of each session. */
  private readonly tokens = new Map<string, string>();
  /** Tokens that sessions were begun with. */
  private readonly used: ReadonlySet<string>;

  constructor(
    private readonly player: Witness,
    log: readonly LogEntry[],
    private readonly options: ReckoningOptions,
  ) {
    const last = new Map<string, Step>();
    this.steps = log.map((entry) => {
      const previous = last.get(entry.subject);
      const at = Number.parseInt(entry.id, 10);
      const step: Step = { entry, at, previous, next: undefined, isExplained: false };
      if (previous) previous.next = step;
      last.set(entry.subject, step);
      if (entry.type === 'session.started') this.tokens.set(entry.subject, String(entry.data.token));
      return step;
    });
    this.used = new Set(this.tokens.values());
  }

  lies(): string[] {
    this.findWhatWasAcknowledged();
    this.explainTheRest();
    this.findWhatWasPromised();
    this.boundTheEnds();
    const { number } = this.player;
    return this.found.map((lie) => `player ${number}: ${lie}`);
  }

  /** Whatever he was told is done is there, once for each time. */
  private findWhatWasAcknowledged(): void {
    let held: ReadonlySet<string> | null = null;
    for (const act of this.player.diary) {
      const { request, outcome } = act;
      const isLogin = request === 'token_auth' || request === 'login';
      if (isLogin) held = outcome === 'done' ? this.begunBy(act) : null;
      else if (outcome === 'done' && request === 'logout') this.take(act, 'session.logged_out', held);
      else if (outcome === 'done' && request === 'set_username') this.take(act, 'session.renamed', held);
      this.checkAnswered(act);
      if ((outcome !== 'done' && outcome !== 'refused') || request === 'join_queue') {
        this.causes.push({ act, sessions: isLogin ? null : held, isUsed: false });
      }
    }
  }

  /** The sessions that an acknowledged login may have begun or resumed: one, unless others came through just then. */
  private begunBy(act: Act): ReadonlySet<string> | null {
    const token = hashToken(act.token!);
    if (act.request === 'login')
      this.take(act, 'token.issued', null, (step) => step.entry.data.token === token);
    const begun = this.stepsWithin(act).filter(
      (step) =>
        !step.isExplained &&
        isBeginning(step) &&
        !isReclaim(step) &&
        this.tokens.get(step.entry.subject) === token,
    );
    const [first] = begun; // his acts follow one another, and so do their events
    if (first) first.isExplained = true;
    else this.miss(act, 'session begun or resumed');
    return first ? new Set(begun.map(({ entry }) => entry.subject)) : null;
  }

  /** Takes the event of something that was acknowledged. */
  private take(
    act: Act,
    type: string,
    held: ReadonlySet<string> | null,
    isIt: (step: Step) => boolean = () => true,
  ): void {
    const step = this.stepsWithin(act).find(
      (step) =>
        !step.isExplained &&
        step.entry.type === type &&
        (held === null || held.has(step.entry.subject)) &&
        isIt(step),
    );
    if (step) step.isExplained = true;
    else this.miss(act, type);
  }

  /** The steps between the beginning of an act and its end; the log is in the order of time. */
  private stepsWithin({ askedAt, endedAt }: Act): Step[] {
    const { steps } = this;
    let [from, behind] = [0, steps.length];
    while (from < behind) {
      const middle = (from + behind) >> 1;
      if (steps[middle]!.at < askedAt - SLACK_MS) from = middle + 1;
      else behind = middle;
    }
    let to = from;
    while (to < steps.length && steps[to]!.at <= endedAt + SLACK_MS) to += 1;
    return steps.slice(from, to);
  }

  private miss(act: Act, what: string): void {
    if (this.options.isExcused?.(act.askedAt, act.endedAt)) {
      // the node may know better, and take back what Redis has forgotten
      this.causes.push({ act, sessions: null, isUsed: false });
      return;
    }
    this.found.push(`${describe(act)}, but there is no ${what}: ${this.story(act)}`);
  }

  private checkAnswered(act: Act): void {
    const { askedAt, endedAt, outcome, request } = act;
    if (this.options.isExact && outcome === 'unknown' && endedAt - askedAt > UNREAD_MS) {
      this.found.push(`${request} was not answered, and the connection went on for ${endedAt - askedAt} ms`);
    }
  }

  /** Whatever is there has a cause, and each cause one effect. */
  private explainTheRest(): void {
    for (const step of this.steps) {
      if (step.isExplained || this.isExplained(step)) continue;
      const { type, subject, data } = step.entry;
      this.found.push(
        `${type} ${JSON.stringify(data)} of ${subject} has no cause: ${this.storyAround(step)}`,
      );
    }
  }

  private isExplained(step: Step): boolean {
    const { entry, at, previous, next } = step;
    const { losesNodes = false, drains = false, resumeMs } = this.options;
    switch (entry.type) {
      case 'account.registered':
        return previous === undefined;
      case 'token.issued':
        // a login issues it together with its session
        return previous?.entry.type === 'account.registered' || this.isUsed(String(entry.data.token));
      case 'session.started':
        return this.isCaused(step, this.tokens.get(entry.subject) === this.token ? 'token_auth' : 'login');
      case 'session.resumed':
        return (isReclaim(step) && losesNodes) || this.isCaused(step, 'token_auth');
      case 'session.logged_out':
        return entry.data.by === 'client' && this.isCaused(step, 'logout');
      case 'session.renamed':
        return this.isCaused(step, 'set_username');
      case 'session.replaced':
        return (
          this.steps.some(
            (other) => other.entry.subject === entry.data.successor && isBeginning(other) && other.at <= at,
          ) || this.hasLostALogin(at)
        );
      case 'session.expired':
        return previous?.entry.type === 'session.detached' && at - previous.at >= resumeMs;
      case 'session.detached':
        if (entry.data.reason === 'taken_over') return next?.entry.type === 'session.resumed';
        if (entry.data.reason === 'node_lost') return losesNodes;
        return entry.data.reason === 'closed' || drains;
      case 'queue.joined':
        return entry.data.since !== undefined || this.isCaused(step, 'join_queue');
      case 'queue.left':
        if (entry.data.reason === 'client') return this.isCaused(step, 'leave_queue') || this.hasJoinedLate;
        if (entry.data.reason === 'detached') return next?.entry.type === 'session.detached';
        if (entry.data.reason === 'ended') return isEnd(next);
        return entry.data.match !== undefined;
      default:
        return false;
    }
  }

  /** Who was told that he could not wait for a match, and did then, is taken out of the line again. */
  private get hasJoinedLate(): boolean {
    return this.causes.some(({ act }) => act.request === 'join_queue' && act.outcome !== 'done');
  }

  /** Whether a login before that time was acknowledged, and may be missing. */
  private hasLostALogin(at: number): boolean {
    return this.causes.some(
      ({ act: { request, outcome, askedAt } }) =>
        (request === 'token_auth' || request === 'login') && outcome === 'done' && askedAt - SLACK_MS <= at,
    );
  }

  /** Takes an act that was asked for before an event, on its session, and is not yet known to have done anything. */
  private isCaused(step: Step, ...requests: Request[]): boolean {
    const { isExact } = this.options;
    // the last one: what was promised before it is excused, or it would have ended the session already
    const cause = this.causes.findLast(
      ({ act, sessions, isUsed }) =>
        !isUsed &&
        requests.includes(act.request) &&
        !(isExact && act.outcome === 'unknown') &&
        act.askedAt - SLACK_MS <= step.at &&
        (sessions === null || sessions.has(step.entry.subject)),
    );
    if (!cause) return false;
    cause.isUsed = true;
    return true;
  }

  /** A logout that was promised for later is there, unless somebody has resumed the session before. */
  private findWhatWasPromised(): void {
    if (this.options.promisesDie) return;
    for (const { act, sessions, isUsed } of this.causes) {
      if (act.request !== 'logout' || act.outcome !== 'later' || isUsed) continue;
      if (this.options.isExcused?.(act.askedAt, act.askedAt + LATE_MS)) continue;
      const hasMovedOn = this.steps.some(
        (step) =>
          isBeginning(step) &&
          step.at >= act.askedAt - SLACK_MS &&
          (sessions === null || sessions.has(step.entry.subject)),
      );
      if (!hasMovedOn) this.found.push(`${describe(act)}, but it never was: ${this.story(act)}`);
    }
  }

  /** No more sessions are left than connections. */
  private boundTheEnds(): void {
    const left = this.steps.filter(({ entry }) => entry.data.reason === 'closed').length;
    const { visits } = this.player;
    if (left > visits && !this.options.isExcused) {
      this.found.push(`${left} times left, but only ${visits} connections`);
    }
  }

  /** Whether a session was begun with a token. */
  private isUsed(token: string): boolean {
    return this.used.has(token);
  }

  private get token(): string {
    return hashToken(this.player.account.token);
  }

  /** What is in the log around an act. */
  private story({ askedAt, endedAt }: Act): string {
    return this.tell(this.steps.filter(({ at }) => at > askedAt - 2000 && at < endedAt + 2000));
  }

  private storyAround(step: Step): string {
    const at = this.steps.indexOf(step);
    const acts = this.player.diary.filter(({ askedAt }) => Math.abs(askedAt - step.at) < 2000).map(describe);
    return `${this.tell(this.steps.slice(Math.max(0, at - 4), at + 3))}; he did: ${acts.join(', ')}`;
  }

  private tell(steps: readonly Step[]): string {
    return steps
      .map(({ entry: { type, subject, data }, at, isExplained }) => {
        const reason = data.reason === undefined ? '' : `:${data.reason}`;
        return `${at} ${subject.slice(-4)} ${type}${reason}${isExplained ? '' : '?'}`;
      })
      .join(' | ');
  }
}

function describe({ request, outcome, askedAt, endedAt }: Act): string {
  return `${request} ${outcome} (${askedAt} to ${endedAt})`;
}

function isBeginning({ entry: { type } }: Step): boolean {
  return type === 'session.started' || type === 'session.resumed';
}

function isEnd(step: Step | undefined): boolean {
  return step?.entry.type === 'session.logged_out' || step?.entry.type === 'session.replaced';
}

/** Whether a node that was taken for lost has taken its session back: the connection is the one that it had before. */
function isReclaim(step: Step): boolean {
  if (step.entry.type !== 'session.resumed') return false;
  let before = step.previous;
  if (before?.entry.data.reason !== 'node_lost') return false;
  while (before && !isBeginning(before)) before = before.previous;
  const [was, is] = [before?.entry.data, step.entry.data];
  return was?.node === is.node && was?.connection === is.connection;
}
