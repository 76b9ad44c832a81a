import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { eventually } from '../../support/eventually.js';
import type { Account } from '../../support/fleet.js';
import { Random } from '../../support/random.js';

export interface CrowdOptions {
  /** A player for each. */
  readonly accounts: readonly Account[];
  /** Where the nodes are that a client may connect to now. */
  readonly urls: () => readonly string[];
  readonly seed: number;
  /** How many times longer than usual players wait between what they do. Default: 1. */
  readonly pace?: number;
  /** Whether connections break off in the middle of a request, too. Default: yes. */
  readonly breaksOff?: boolean;
}

/** Players who chat; each message goes to everybody. */
const TALKERS = 10;

/** A client that gets no answer for this long gives its connection up, in ms. */
const GIVE_UP_MS = 8000;

const HANDSHAKE_MS = 5000;

/** Real clients that come, log in, chat, log out, break off and come back, all the time. */
export class Crowd {
  readonly players: readonly Regular[];
  private readonly playing: Promise<unknown>;

  constructor(options: CrowdOptions) {
    const { accounts, seed } = options;
    this.players = accounts.map((account, i) => new Regular(i, account, new Random(seed + i), options));
    this.playing = Promise.all(this.players.map((player) => player.play()));
  }

  /** Waits until everybody has been logged in so many times more. */
  async everybodyPlays(times: number, timeoutMs = 60_000): Promise<void> {
    const before = this.players.map(({ logins }) => logins);
    const waiting = () =>
      this.players.filter(({ logins }, i) => logins < before[i]! + times).map(({ number }) => number);
    await eventually(() => waiting().length === 0, {
      timeoutMs,
      intervalMs: 50,
      message: `everybody logs in ${times} times more`,
    }).catch((error: Error) => {
      error.message += `; still to come: players ${waiting().slice(0, 10)} (${waiting().length})`;
      throw error;
    });
  }

  /** All go home. */
  async end(): Promise<void> {
    for (const player of this.players) player.isOver = true;
    await this.playing;
  }

  /** Everything that a client should not have seen. */
  get problems(): string[] {
    return this.players.flatMap(({ number, problems }) =>
      problems.map((problem) => `player ${number}: ${problem}`),
    );
  }

  /** A figure of all players together. */
  sum(of: (player: Regular) => number): number {
    return this.players.reduce((sum, player) => sum + of(player), 0);
  }
}

interface Answer {
  readonly type: string;
  readonly payload?: { readonly message?: string; readonly code?: string; readonly reason?: string };
}

/** Where a connection stands. */
interface Visit {
  readonly ws: WebSocket;
  /** The code of its end, once it has ended. */
  readonly closed: Promise<number>;
  /** Takes the next answer. */
  awaiting: ((answer: Answer | null) => void) | undefined;
  /** He cares for no answers any more. */
  isOver: boolean;
  /** He has said something, and the next error is about that. */
  hasSpoken: boolean;
  /** The last chat message seen of each talker. */
  readonly heard: Map<string, number>;
}

/** A player with an account of his own. He counts what he is told, to be compared with the log. */
export class Regular {
  /** To be set when he is to go home. */
  isOver = false;
  /** `auth_success` received. */
  logins = 0;
  /** `token_auth` that may have begun a session, for all that he knows: unanswered, or "try again later". */
  doubtfulLogins = 0;
  /** `logged_out` received. */
  logouts = 0;
  /** Logouts to be recorded later, as he was told. */
  lateLogouts = 0;
  /** Logouts without an answer. */
  doubtfulLogouts = 0;
  /** When he was told of each logout, by `performance.now()`. */
  readonly loggedOutAt: number[] = [];
  /** When he asked for each logout that was to be recorded later. */
  readonly lateAskedAt: number[] = [];
  /** How often connections were closed by the server with each code, and when last. */
  readonly closes: { readonly code: number; readonly at: number }[] = [];
  readonly problems: string[] = [];

  private said = 0;

  constructor(
    readonly number: number,
    readonly account: Account,
    private readonly random: Random,
    private readonly options: CrowdOptions,
  ) {}

  async play(): Promise<void> {
    await this.pause(1000); // not all at once
    while (!this.isOver) {
      const visit = await this.connect();
      if (visit) {
        await this.stay(visit);
        await this.leave(visit);
      }
      await this.pause(visit ? 400 : 800);
    }
  }

  private async connect(): Promise<Visit | null> {
    const urls = this.options.urls();
    if (urls.length === 0) return null;
    const url = urls[this.random.below(urls.length)]!;
    const ws = new WebSocket(url, { perMessageDeflate: false, handshakeTimeout: HANDSHAKE_MS });
    ws.on('error', () => {}); // its end tells
    const closed = new Promise<number>((resolve) => ws.once('close', (code) => resolve(code)));
    const visit: Visit = {
      ws,
      closed,
      awaiting: undefined,
      isOver: false,
      hasSpoken: false,
      heard: new Map(),
    };
    ws.on('message', (data: Buffer) => this.hear(visit, data.toString()));
    void closed.then((code) => {
      if (code !== 1006 && code !== 1000) this.closes.push({ code, at: performance.now() });
      visit.awaiting?.(null);
    });
    const isOpen = await Promise.race([
      new Promise<true>((resolve) => ws.once('open', () => resolve(true))),
      closed.then(() => false),
    ]);
    return isOpen ? visit : null;
  }

  /** Logs in, does this and that, logs out, and so on, until he has had enough or the connection is gone. */
  private async stay(visit: Visit): Promise<void> {
    for (let rounds = 1 + this.random.below(3); rounds > 0 && !this.isOver; rounds -= 1) {
      if (!(await this.logIn(visit))) return;
      for (let acts = this.random.below(3); acts > 0; acts -= 1) {
        await this.pause(300);
        if (!(await this.act(visit))) return;
      }
      if (this.random.below(3) === 0) return;
      if (!(await this.logOut(visit))) return;
      await this.pause(200);
    }
  }

  private async logIn(visit: Visit): Promise<boolean> {
    const resume = this.random.below(3) === 0;
    const payload = { token: this.account.token, ...(resume && { resume }) };
    if (this.breaksOffNow()) {
      visit.isOver = true;
      visit.ws.send(JSON.stringify({ type: 'token_auth', payload }));
      this.doubtfulLogins += 1;
      return false;
    }
    const answer = await this.ask(visit, { type: 'token_auth', payload });
    if (answer?.type === 'auth_success') {
      this.logins += 1;
      return true;
    }
    this.doubtfulLogins += 1;
    if (answer && !isUnavailable(answer)) this.problems.push(`login answered ${JSON.stringify(answer)}`);
    if (answer) await this.pause(500);
    return false;
  }

  /** Says something, maybe, and counts the players. */
  private async act(visit: Visit): Promise<boolean> {
    if (this.number < TALKERS && visit.ws.readyState === WebSocket.OPEN) {
      this.said += 1;
      const message = `${this.number} says ${this.said}`;
      visit.hasSpoken = true;
      visit.ws.send(JSON.stringify({ type: 'global_chat', payload: message })); // at most once: it may get lost
    }
    const answer = await this.ask(visit, { type: 'count' });
    visit.hasSpoken = false;
    const isCount = answer?.type === 'player_count';
    if (answer && !isCount && !isLoss(answer)) this.problems.push(`count answered ${JSON.stringify(answer)}`);
    return isCount;
  }

  private async logOut(visit: Visit): Promise<boolean> {
    if (this.breaksOffNow()) {
      visit.isOver = true;
      visit.ws.send('{"type":"logout"}');
      this.doubtfulLogouts += 1;
      return false;
    }
    const askedAt = performance.now();
    const answer = await this.ask(visit, { type: 'logout' });
    if (answer?.type === 'logged_out' && !answer.payload) {
      this.logouts += 1;
      this.loggedOutAt.push(performance.now());
      return true;
    }
    if (!answer) this.doubtfulLogouts += 1;
    else if (isUnavailable(answer)) {
      this.lateLogouts += 1;
      this.lateAskedAt.push(askedAt);
    } else if (!isLoss(answer)) {
      this.problems.push(`logout answered ${JSON.stringify(answer)}`);
    }
    return false;
  }

  /** Sends a request and waits for its answer; null if the connection is gone, or he has lost patience. */
  private async ask(visit: Visit, request: unknown): Promise<Answer | null> {
    const { ws } = visit;
    if (ws.readyState !== WebSocket.OPEN) return null;
    let timer: NodeJS.Timeout | undefined;
    const answer = new Promise<Answer | null>((resolve) => {
      visit.awaiting = resolve;
      timer = setTimeout(() => {
        visit.isOver = true;
        ws.terminate();
        resolve(null);
      }, GIVE_UP_MS);
    });
    ws.send(JSON.stringify(request));
    const given = await answer;
    clearTimeout(timer);
    visit.awaiting = undefined;
    return given;
  }

  private hear(visit: Visit, text: string): void {
    if (visit.isOver) return;
    const message = JSON.parse(text) as Answer;
    if (message.type === 'global_chat') {
      this.hearChat(visit, String(message.payload?.message));
    } else if (visit.hasSpoken && message.type === 'error') {
      visit.hasSpoken = isLoss(message); // it could not be said: Redis is away, or he talks too much
    } else if (visit.awaiting) {
      visit.awaiting(message);
    } else {
      this.problems.push(`unasked, ${text}`);
    }
  }

  /** Each message comes once, and those of one talker in their order. */
  private hearChat({ heard }: Visit, message: string): void {
    const [talker = '', number] = message.split(' says ');
    if (Number(number) <= (heard.get(talker) ?? 0))
      this.problems.push(`heard ${message} after ${heard.get(talker)}`);
    heard.set(talker, Number(number));
  }

  private async leave({ ws, closed }: Visit): Promise<void> {
    const how = this.random.below(3);
    if (how === 0) ws.terminate();
    else if (how === 1)
      (Reflect.get(ws, '_socket') as { resetAndDestroy(): void } | undefined)?.resetAndDestroy();
    else ws.close(1000);
    await Promise.race([closed, delay(HANDSHAKE_MS).then(() => ws.terminate())]);
  }

  private breaksOffNow(): boolean {
    return this.options.breaksOff !== false && this.random.below(12) === 0;
  }

  private async pause(mostMs: number): Promise<void> {
    await delay(this.random.below(mostMs) * (this.options.pace ?? 1));
  }
}

function isUnavailable({ payload }: Answer): boolean {
  return payload?.message === 'Service unavailable, try again later';
}

/** The session was resumed elsewhere; the connection is about to be closed. */
function isLoss({ payload }: Answer): boolean {
  return payload?.code === 'AUTH_REQUIRED';
}
