import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { type Account, PASSWORD } from '../../support/fleet.js';
import type { Random } from '../../support/random.js';
import type { Act, Outcome, Request } from './act.js';

/** What a crowd does and doesn't do. */
export interface Habits {
  /** Where the nodes are that a client may connect to now. */
  readonly urls: () => readonly string[];
  /** How many times longer than usual players wait between what they do. Default: 1. */
  readonly pace?: number;
  /** Whether connections break off in the middle of a request, too. Default: yes. */
  readonly breaksOff?: boolean;
  /** Whether players wait for matches now. */
  readonly queues: () => boolean;
  /** A player to talk to in private. */
  readonly neighbour: (random: Random) => Regular;
}

/** Players who chat; each message goes to everybody. */
const TALKERS = 10;

/** A client that gets no answer for this long gives its connection up, in ms. */
const GIVE_UP_MS = 8000;

const HANDSHAKE_MS = 5000;

interface Answer {
  readonly type: string;
  readonly payload?: {
    readonly message?: string;
    readonly code?: string;
    readonly reason?: string;
    readonly token?: string;
  };
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

/** Messages that may come without having been asked for just now. */
const UNASKED = new Set(['match_found', 'match_error', 'dequeued']);

/** A player with an account of his own, who keeps a diary, to be compared with the log. */
export class Regular {
  /** To be set when he is to go home. */
  isOver = false;
  /** All that he asked for, in order. */
  readonly diary: Act[] = [];
  /** Logins that he was told of. */
  logins = 0;
  /** Connections that were opened. */
  visits = 0;
  /** Whether he waits for a match, or is about to. */
  isQueueing = false;
  /** Requests that were not answered, though the connection stood. */
  giveUps = 0;
  /** How often connections were closed by the server with each code, and when last. */
  readonly closes: { readonly code: number; readonly at: number }[] = [];
  readonly problems: string[] = [];

  private said = 0;
  private names = 0;

  constructor(
    readonly number: number,
    readonly account: Account,
    private readonly random: Random,
    private readonly habits: Habits,
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
    const urls = this.habits.urls();
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
    if (!isOpen) return null;
    this.visits += 1;
    return visit;
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
      if (this.random.below(20) === 0) continue; // the next login replaces the session
      if (!(await this.logOut(visit))) return;
      await this.pause(200);
    }
  }

  private async logIn(visit: Visit): Promise<boolean> {
    const { username, token } = this.account;
    const resume = this.random.below(3) === 0;
    const byPassword = this.random.below(100) === 0; // it takes long
    const message: { type: Request; payload: object } = byPassword
      ? { type: 'login', payload: { username, password: PASSWORD } }
      : { type: 'token_auth', payload: { token, ...(resume && { resume }) } };
    const answer = await this.ask(visit, message, (answer) =>
      answer.type === 'auth_success' ? 'done' : isUnavailable(answer) ? 'later' : null,
    );
    if (answer === 'done') this.logins += 1;
    if (answer === 'later') await this.pause(500);
    return answer === 'done';
  }

  /** Takes a name, waits for a match, or says something, maybe; and counts the players. */
  private async act(visit: Visit): Promise<boolean> {
    const lot = this.random.below(100);
    if (lot < 3) {
      if (!(await this.rename(visit))) return false;
    } else if (lot < 4 && this.habits.queues()) {
      if (!(await this.queue(visit))) return false;
    } else {
      this.talk(visit);
    }
    const answer = await this.ask(visit, { type: 'count' }, (answer) =>
      answer.type === 'player_count' ? 'done' : null,
    );
    visit.hasSpoken = false;
    return answer === 'done';
  }

  /** Chat is at most once: it may get lost. */
  private talk(visit: Visit): void {
    const isTalker = this.number < TALKERS;
    if (visit.ws.readyState !== WebSocket.OPEN || (!isTalker && this.random.below(20) > 0)) return;
    this.said += 1;
    const message = `${this.number} says ${this.said}`;
    visit.hasSpoken = true;
    const target = this.habits.neighbour(this.random).account.username;
    const request = isTalker
      ? { type: 'global_chat', payload: message }
      : { type: 'private_chat', payload: { target, message } };
    visit.ws.send(JSON.stringify(request));
  }

  private async rename(visit: Visit): Promise<boolean> {
    this.names += 1;
    const payload = `${this.account.username} ${this.names}`;
    const answer = await this.ask(visit, { type: 'set_username', payload }, (answer) =>
      answer.type === 'display_name_updated' ? 'done' : isUnavailable(answer) ? 'later' : null,
    );
    return answer === 'done';
  }

  /** Waits for a match, and soon no more. Who has got one by then is not told that he waits no more. */
  private async queue(visit: Visit): Promise<boolean> {
    this.isQueueing = true;
    try {
      return await this.joinAndLeave(visit);
    } finally {
      this.isQueueing = false;
    }
  }

  private async joinAndLeave(visit: Visit): Promise<boolean> {
    const answer = await this.ask(visit, { type: 'join_queue' }, (answer) =>
      answer.type === 'queued' ? 'done' : isUnavailable(answer) ? 'later' : null,
    );
    if (answer !== 'done') return false;
    await this.pause(300);
    if (visit.ws.readyState !== WebSocket.OPEN) return false;
    visit.hasSpoken = true; // an error is about this
    const now = Date.now();
    visit.ws.send('{"type":"leave_queue"}');
    this.diary.push({ request: 'leave_queue', askedAt: now, endedAt: now, outcome: 'unasked' });
    return true;
  }

  private async logOut(visit: Visit): Promise<boolean> {
    const answer = await this.ask(visit, { type: 'logout' }, (answer) =>
      answer.type === 'logged_out' && !answer.payload ? 'done' : isUnavailable(answer) ? 'later' : null,
    );
    return answer === 'done';
  }

  /**
   * Sends a request, waits for its answer, and writes both down. Now and then he breaks off in the middle.
   * @param judge null: not an answer to that
   */
  private async ask(
    visit: Visit,
    request: { readonly type: Request; readonly payload?: object | string },
    judge: (answer: Answer) => 'done' | 'later' | null,
  ): Promise<Outcome> {
    const { ws } = visit;
    if (ws.readyState !== WebSocket.OPEN) return 'unknown';
    const askedAt = Date.now();
    const answer = this.breaksOffNow(request.type)
      ? this.sendAndGo(visit, request)
      : await this.answerTo(visit, request);
    const outcome = !answer ? 'unknown' : (judge(answer) ?? (isLoss(answer) ? 'refused' : null));
    if (!outcome) this.problems.push(`${request.type} answered ${JSON.stringify(answer)}`);
    const token = answer?.payload?.token;
    const act: Act = { request: request.type, askedAt, endedAt: Date.now(), outcome: outcome ?? 'unknown' };
    this.diary.push({ ...act, ...(token !== undefined && { token }) });
    return act.outcome;
  }

  private sendAndGo(visit: Visit, request: object): null {
    visit.isOver = true;
    visit.ws.send(JSON.stringify(request));
    return null;
  }

  /** Null if the connection is gone, or he has lost patience. */
  private async answerTo(visit: Visit, request: object): Promise<Answer | null> {
    let timer: NodeJS.Timeout | undefined;
    const answer = new Promise<Answer | null>((resolve) => {
      visit.awaiting = resolve;
      timer = setTimeout(() => {
        this.giveUps += 1;
        visit.isOver = true;
        visit.ws.terminate();
        resolve(null);
      }, GIVE_UP_MS);
    });
    visit.ws.send(JSON.stringify(request));
    const given = await answer;
    clearTimeout(timer);
    visit.awaiting = undefined;
    return given;
  }

  private hear(visit: Visit, text: string): void {
    if (visit.isOver) return;
    const message = JSON.parse(text) as Answer;
    if (message.type === 'global_chat' || message.type === 'private_chat') {
      this.hearChat(visit, String(message.payload?.message));
    } else if (UNASKED.has(message.type)) {
      return;
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

  private breaksOffNow(request: Request): boolean {
    if (this.habits.breaksOff === false || request === 'count') return false;
    return this.random.below(12) === 0;
  }

  private async pause(mostMs: number): Promise<void> {
    await delay(this.random.below(mostMs) * (this.habits.pace ?? 1));
  }
}

function isUnavailable({ payload }: Answer): boolean {
  return payload?.message === 'Service unavailable, try again later';
}

/** The session was resumed elsewhere; the connection is about to be closed. */
function isLoss({ payload }: Answer): boolean {
  return payload?.code === 'AUTH_REQUIRED';
}
