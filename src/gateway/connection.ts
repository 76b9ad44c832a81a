import type { HeldSession, OutsideEnd } from '../cluster/presence.js';
import type { MessageEnvelope } from '../contract/client.generated.js';
import type { Client, Result } from '../handlers/client.js';
import type { Dispatch } from '../handlers/dispatch.js';
import { ANSWERS, type Frame, loggedOutBy } from '../protocol/answers.js';
import { CLOSE, type Close, type SLOW_READER } from '../protocol/errors.js';
import type { Listener } from './broadcast.js';
import { Mailbox } from './mailbox.js';
import type { Rate } from './rate.js';
import type { Socket } from './socket.js';

/** What a connection does with what comes in; the same for all connections of a gateway. */
export interface ConnectionRules {
  readonly maxMessageBytes: number;
  /** Of messages. */
  readonly rate: Rate;
  /** Messages that may wait for their turn, 0: any number. */
  readonly mailboxMessages: number;
  readonly mailboxBytes: number;
  /** Null: no message. */
  read(bytes: ArrayBuffer, isBinary: boolean): MessageEnvelope | null;
  dispatch: Dispatch;
  /** The connection is closed and its last message handled; it may still have a session. */
  finished(connection: Connection): void;
  /** A message has been handled; for the metrics. `waitedMs`: from its frame to its end, unless that was all of one go. */
  count(type: string, result: Result, waitedMs: number | null): void;
  /** The server closes a connection; for the metrics. */
  closing(why: Close | typeof SLOW_READER): void;
}

/** What has come: a message, no message, or one too many. */
type Incoming = MessageEnvelope | 'invalid' | 'rate_limited';

/** What waits, in a mailbox or for Redis, and since when, by `performance.now()`. */
interface Waiting {
  readonly incoming: Incoming;
  readonly since: number;
}

/**
 * A client's connection. It handles one message after the other, so answers keep the order of the requests, and holds up
 * nobody else meanwhile: what comes while a message waits for Redis goes to the mailbox.
 */
export class Connection implements Client, Listener {
  isOpen = true;
  /**
   * Since when it has no session, by `performance.now()`; means nothing while it has one. A whole number: another one would take
   * memory of its own.
   */
  unauthenticatedSince = Math.floor(performance.now());

  private held: HeldSession | null = null;
  /** Null while nothing waits in it: most connections never need one. */
  private mailbox: Mailbox<Waiting> | null = null;
  /** For `ConnectionRules.rate`. */
  private usedUntil = 0;
  private strikes = 0;
  result: Result = 'ok';
  /** The message that is being handled, if that takes longer. */
  private inHand: Waiting | null = null;
  /** Set while it takes no more messages; is called when those that have come are handled. */
  private onDrained: (() => void) | null = null;

  constructor(
    readonly number: number,
    readonly address: string,
    private readonly socket: Socket,
    private readonly rules: ConnectionRules,
  ) {}

  get session(): HeldSession | null {
    return this.held;
  }

  set session(session: HeldSession | null) {
    this.held = session;
    if (!session) this.unauthenticatedSince = Math.floor(performance.now());
  }

  /** Whether a message is being handled. */
  get isBusy(): boolean {
    return this.inHand !== null;
  }

  /** Whether it neither has a session nor is about to get one. */
  get isUnauthenticated(): boolean {
    return !this.held && !this.isBusy;
  }

  /** A frame has come. The bytes are not used after this call. */
  receive(bytes: ArrayBuffer, isBinary: boolean): void {
    if (!this.isOpen || this.onDrained) return;
    if (bytes.byteLength > this.rules.maxMessageBytes) {
      this.close(CLOSE.tooBig);
      return;
    }
    const incoming: Incoming = this.admit()
      ? (this.rules.read(bytes, isBinary) ?? 'invalid')
      : 'rate_limited';
    if (incoming === 'rate_limited' && this.strikes > this.rules.rate.burst) {
      this.close(CLOSE.policy);
    } else if (!this.isBusy) {
      this.handleAll(incoming, null);
    } else {
      const { mailboxMessages, mailboxBytes } = this.rules;
      this.mailbox ??= new Mailbox(mailboxMessages, mailboxBytes);
      const waiting = { incoming, since: performance.now() };
      if (!this.mailbox.put(waiting, bytes.byteLength)) this.close(CLOSE.policy);
    }
  }

  /** The socket is gone. */
  closed(): void {
    this.isOpen = false;
    if (this.isBusy) this.mailbox?.keepOnly(countsAfterClose);
    else this.finish();
  }

  send(frame: Frame): void {
    if (this.isOpen) this.socket.send(frame);
  }

  /** Sends what was published for all sessions, if it has one, and had it before that. */
  hear(frames: readonly Frame[], since: number): void {
    if (!this.isOpen || !this.held || this.held.heldSince > since) return;
    if (frames.length === 1) {
      this.socket.send(frames[0]!);
      return;
    }
    this.socket.cork(() => {
      for (const frame of frames) this.send(frame);
    });
  }

  refuse(frame: Frame): void {
    this.result = 'refused';
    this.send(frame);
  }

  fail(frame: Frame): void {
    this.result = 'unavailable';
    this.send(frame);
  }

  close(why: Close): void {
    if (!this.isOpen) return;
    this.rules.closing(why);
    this.socket.end(why.code, why.reason);
  }

  endedBy(who: OutsideEnd): void {
    this.send(loggedOutBy(who));
  }

  takenOver(): void {
    this.close(CLOSE.takenOver);
  }

  lost(): void {
    this.close(CLOSE.sessionLost);
  }

  /** Takes no more messages, and waits until those that have come are handled. */
  drain(): Promise<void> {
    return new Promise((resolve) => {
      this.onDrained = resolve;
      if (!this.isBusy) resolve();
    });
  }

  /** Whether a message is within the rate. One that isn't is a strike, one that is takes a strike back. */
  private admit(): boolean {
    const { rate } = this.rules;
    if (!rate.isUnlimited) {
      const usedUntil = rate.admit(this.usedUntil, performance.now());
      if (usedUntil === null) {
        this.strikes += 1;
        return false;
      }
      this.usedUntil = usedUntil;
    }
    if (this.strikes > 0) this.strikes -= 1;
    return true;
  }

  /**
   * Handles a message and what waits behind it, up to one that takes longer.
   * @param since when it came, by `performance.now()`, if it has waited
   */
  private handleAll(first: Incoming, since: number | null): void {
    let next: Incoming = first;
    let cameAt = since;
    for (;;) {
      this.result = 'ok';
      if (this.handle(next, cameAt)) {
        this.inHand = { incoming: next, since: cameAt ?? performance.now() };
        return;
      }
      this.count(next, cameAt);
      const waiting = this.mailbox?.take();
      if (!waiting) break;
      next = waiting.incoming;
      cameAt = waiting.since;
    }
    this.becomeIdle();
  }

  /** A message that took longer has been handled. */
  private goOn(): void {
    const { incoming, since } = this.inHand!;
    this.count(incoming, since);
    const waiting = this.mailbox?.take();
    if (waiting) this.handleAll(waiting.incoming, waiting.since);
    else this.becomeIdle();
  }

  private count(incoming: Incoming, since: number | null): void {
    const type = typeof incoming === 'string' ? incoming : incoming.type;
    this.rules.count(type, this.result, since === null ? null : performance.now() - since);
  }

  private becomeIdle(): void {
    if (!this.isBusy) return;
    this.inHand = null;
    this.mailbox = null;
    this.onDrained?.();
    if (!this.isOpen) this.finish();
  }

  /** @returns whether it takes longer */
  private handle(incoming: Incoming, cameAt: number | null): boolean {
    if (typeof incoming === 'string') {
      this.refuse(incoming === 'invalid' ? ANSWERS.invalidMessage : ANSWERS.rateLimited);
      return false;
    }
    return this.rules.dispatch(this, incoming, cameAt, Connection.handled);
  }

  private static handled(connection: Connection): void {
    connection.goOn();
  }

  private finish(): void {
    this.rules.finished(this);
  }
}

/** Of a client that has gone, only its goodbye still counts. */
function countsAfterClose({ incoming }: Waiting): boolean {
  return typeof incoming !== 'string' && GOODBYES.has(incoming.type);
}

const GOODBYES: ReadonlySet<string> = new Set(['logout', 'logout_all']);
