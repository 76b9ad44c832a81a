import { nowMs } from '../clock.js';
import { textFrame } from '../frames.js';
import type { Plan } from '../plan.js';
import { beginsWith, type Player } from '../player.js';
import { ChatMessage, intendedMsOf, isChatOf, senderOf } from './chatMessage.js';
import type { Actor, Scenario } from './scenario.js';
import * as session from './session.js';

/** A day in the life of players. Each operation is one thing that a player does. */
export const mixed: Scenario = {
  description: 'a day in the life: log in, rename, chat, count, queue, log out, crash, come back',
  operation: 'action',
  pace: 'closed',
  cast({ plan }) {
    const actors = new Map<number, MixedActor>();
    return (player) => {
      const actor = new MixedActor(player, plan, actors);
      actors.set(player.number, actor);
      return actor;
    };
  },
};

/** Of 100 things that a player does who is logged in. */
const DAY = {
  count: 30,
  private_chat: 20,
  queue: 15,
  logout: 12,
  rename: 10,
  crash: 8,
  global_chat: 5,
} as const;

type Action = keyof typeof DAY;

const ACTIONS = (Object.keys(DAY) as Action[]).flatMap((action) => Array<Action>(DAY[action]).fill(action));

/** How many of the logins are by password. */
const BY_PASSWORD = 0.05;

/** Characters of a token. */
const TOKEN_LENGTH = 36;

const JOIN_QUEUE = textFrame('{"type":"join_queue"}');
const LEAVE_QUEUE = textFrame('{"type":"leave_queue"}');
const QUEUED = Buffer.from('{"type":"queued"}');
const DEQUEUED = Buffer.from('{"type":"dequeued"}');
const PRIVATE_CHAT = Buffer.from('{"type":"private_chat",');

/** One player's day. */
class MixedActor implements Actor {
  /** Whether it has a session now. */
  private isIn = false;
  /** Private messages that are on their way to it; it stays until they have come. */
  private visitors = 0;
  private token: string;
  private names = 0;
  private readonly run: Buffer;
  private readonly shout: ChatMessage;

  constructor(
    private readonly player: Player,
    private readonly plan: Plan,
    private readonly others: ReadonlyMap<number, MixedActor>,
  ) {
    this.token = player.account.token;
    this.run = Buffer.from(plan.run);
    this.shout = new ChatMessage(plan.run, player.number, null);
    player.onPush = (bytes, start, end) => this.hear(bytes, start, end);
  }

  async prepare(): Promise<boolean> {
    this.isIn = false;
    return true;
  }

  async operate(intendedMs: number): Promise<boolean> {
    if (!this.isIn) return this.enter(intendedMs);
    const isDone = await this.act(ACTIONS[Math.floor(Math.random() * ACTIONS.length)]!, intendedMs);
    if (!isDone) this.isIn = false; // whatever it was, it enters anew
    return isDone;
  }

  private act(action: Action, intendedMs: number): Promise<boolean> {
    const { player } = this;
    switch (action) {
      case 'count':
        return player.request('count', session.COUNT, session.COUNTED, intendedMs);
      case 'global_chat':
        return player.request('global_chat', this.shout.at(intendedMs), null, intendedMs);
      case 'private_chat':
        return this.whisper(intendedMs);
      case 'queue':
        return this.queue(intendedMs);
      case 'rename':
        return this.rename(intendedMs);
      case 'logout':
        return this.visitors > 0 ? this.act('count', intendedMs) : this.leave(intendedMs);
      case 'crash':
        return this.visitors > 0 ? this.act('count', intendedMs) : this.crash(intendedMs);
    }
  }

  private async enter(intendedMs: number): Promise<boolean> {
    const { player } = this;
    const { username } = player.account;
    if (Math.random() < BY_PASSWORD) {
      const request = session.login(username, this.plan.password);
      this.isIn = await player.request(
        'login',
        request,
        session.loggedIn(username),
        intendedMs,
        (bytes, end) => {
          const tokenEnd = end - '"}}'.length;
          this.token = bytes.toString('latin1', tokenEnd - TOKEN_LENGTH, tokenEnd);
        },
      );
    } else {
      const answer = session.authenticated(username, this.token);
      this.isIn = await player.request('token_auth', session.tokenAuth(this.token), answer, intendedMs);
    }
    return this.isIn;
  }

  private async leave(intendedMs: number): Promise<boolean> {
    this.isIn = false;
    return this.player.request('logout', session.LOGOUT, session.LOGGED_OUT, intendedMs);
  }

  /** The connection is cut; the player comes back to the session. */
  private async crash(intendedMs: number): Promise<boolean> {
    const { player } = this;
    this.isIn = false;
    player.drop();
    if (!(await player.connect(intendedMs))) return false;
    const answer = session.authenticated(player.account.username, this.token);
    this.isIn = await player.request('resume', session.tokenAuth(this.token, true), answer);
    return this.isIn;
  }

  private rename(intendedMs: number): Promise<boolean> {
    this.names += 1;
    const name = `${this.player.account.username.slice(0, 40)}-${this.names}`;
    const request = textFrame(JSON.stringify({ type: 'set_username', payload: name }));
    const answer = Buffer.from(JSON.stringify({ type: 'display_name_updated', payload: name }));
    return this.player.request('set_username', request, answer, intendedMs);
  }

  /** A private message to a neighbour who is there, or to oneself; it is done when it has come. */
  private async whisper(intendedMs: number): Promise<boolean> {
    const { player, plan, others } = this;
    const neighbour = others.get(player.number + plan.workers);
    const target = neighbour?.isIn && neighbour.player.isConnected ? neighbour : this;
    const message = new ChatMessage(plan.run, player.number, target.player.account.username);
    target.visitors += 1;
    try {
      return await player.request('private_chat', message.at(intendedMs), null, intendedMs);
    } finally {
      target.visitors -= 1;
    }
  }

  /** Joins the match queue and leaves it. A player who was matched meanwhile gets no answer to that; `count` tells. */
  private async queue(intendedMs: number): Promise<boolean> {
    const { player } = this;
    if (!(await player.request('join_queue', JOIN_QUEUE, QUEUED, intendedMs))) return false;
    player.send(LEAVE_QUEUE);
    return player.request('leave_queue', session.COUNT, session.COUNTED);
  }

  private hear(bytes: Buffer, start: number, end: number): boolean {
    if (!isChatOf(this.run, bytes, start, end)) return beginsWith(bytes, start, end, DEQUEUED);
    const sender = senderOf(bytes, end);
    if (beginsWith(bytes, start, end, PRIVATE_CHAT)) {
      this.others.get(sender)?.player.fulfil();
    } else {
      this.player.tally.done('delivery', nowMs() - intendedMsOf(bytes, end));
      if (sender === this.player.number) this.player.fulfil();
    }
    return true;
  }
}
