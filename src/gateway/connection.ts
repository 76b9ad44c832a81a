import type { HeldSession, OutsideEnd } from '../cluster/presence.js';
import type { MessageEnvelope } from '../contract/client.generated.js';
import type { Client } from '../handlers/client.js';
import { ANSWERS, type Frame, loggedOutBy } from '../protocol/answers.js';
import { CLOSE, type Close } from '../protocol/errors.js';
import { Mailbox } from './mailbox.js';
import type { Socket } from './socket.js';
import { TokenBucket } from './tokenBucket.js';

/** What a connection does with what comes in; the same for all connections of a gateway. */
export interface ConnectionRules {
  readonly maxMessageBytes: number;
  /** Messages a second on average, and at once. 0: no limit. */
  readonly messageRate: number;
  readonly messageBurst: number;
  /** Messages that may wait for their turn, 0: any number. */
  readonly mailboxMessages: number;
  readonly mailboxBytes: number;
  /** Null: no message. */
  read(bytes: ArrayBuffer, isBinary: boolean): MessageEnvelope | null;
  /** Handles a message; a promise means that the next one has to wait. Never rejects. */
  dispatch(client: Client, message: MessageEnvelope): void | Promise<void>;
  /** The connection is closed and its last message handled; it may still have a session. */
  finished(connection: Connection): void;
  /** A message has come; for the metrics. */
  count(type: string): void;
}

/** What waits in a mailbox: a message, no message, or one too many. */
type Incoming = MessageEnvelope | 'invalid' | 'rate limited';

/**
 * A client's connection. It handles one message after the other, so answers keep the order of the requests, and holds up
 * nobody else meanwhile: what comes while a message waits for Redis goes to the mailbox.
 */
export class Connection implements Client {
  isOpen = true;
  /** Since when it has no session, by `performance.now()`; means nothing while it has one. */
  unauthenticatedSince = performance.now();

  private held: HeldSession | null = null;
  /** Null while nothing waits in it: most connections never need one. */
  private mailbox: Mailbox<Incoming> | null = null;
  private readonly bucket: TokenBucket;
  private strikes = 0;
  /** Whether a message is being handled. */
  isBusy = false;
  private isDraining = false;
  private onIdle: (() => void) | undefined;

  constructor(
    readonly number: number,
    readonly address: string,
    private readonly socket: Socket,
    private readonly rules: ConnectionRules,
  ) {
    this.bucket = new TokenBucket(rules.messageRate, rules.messageBurst, this.unauthenticatedSince);
  }

  get session(): HeldSession | null {
    return this.held;
  }

  set session(session: HeldSession | null) {
    // a session that is only updated goes on listening
    if (this.isOpen && (session === null) !== (this.held === null)) this.socket.listen(session !== null);
    this.held = session;
    if (!session) this.unauthenticatedSince = performance.now();
  }

  /** Whether it neither has a session nor is about to get one. */
  get isUnauthenticated(): boolean {
    return !this.held && !this.isBusy;
  }

  /** A frame has come. The bytes are not used after this call. */
  receive(bytes: ArrayBuffer, isBinary: boolean): void {
    if (!this.isOpen || this.isDraining) return;
    if (bytes.byteLength > this.rules.maxMessageBytes) {
      this.close(CLOSE.tooBig);
      return;
    }
    const incoming = this.admit() ? (this.rules.read(bytes, isBinary) ?? 'invalid') : 'rate limited';
    this.rules.count(typeof incoming === 'string' ? incoming : incoming.type);
    if (incoming === 'rate limited' && this.strikes > this.rules.messageBurst) {
      this.close(CLOSE.policy);
    } else if (!this.isBusy) {
      this.handleAll(incoming);
    } else {
      const { mailboxMessages, mailboxBytes } = this.rules;
      this.mailbox ??= new Mailbox(mailboxMessages, mailboxBytes);
      if (!this.mailbox.put(incoming, bytes.byteLength)) this.close(CLOSE.policy);
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

  close({ code, reason }: Close): void {
    if (this.isOpen) this.socket.close(code, reason);
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
  async drain(): Promise<void> {
    this.isDraining = true;
    if (this.isBusy) {
      await new Promise<void>((resolve) => {
        this.onIdle = resolve;
      });
    }
  }

  /** Whether a message is within the rate. One that isn't is a strike, one that is takes a strike back. */
  private admit(): boolean {
    if (this.bucket.isUnlimited || this.bucket.take(performance.now())) {
      if (this.strikes > 0) this.strikes -= 1;
      return true;
    }
    this.strikes += 1;
    return false;
  }

  /** Handles a message and what waits behind it; goes on by itself after one that has to be waited for. */
  private handleAll(first: Incoming | undefined): void {
    for (let next = first; next !== undefined; next = this.mailbox?.take()) {
      const handled = this.handle(next);
      if (handled) {
        this.isBusy = true;
        void handled.then(() => this.handleAll(this.mailbox?.take()));
        return;
      }
    }
    if (!this.isBusy) return;
    this.isBusy = false;
    this.mailbox = null;
    this.onIdle?.();
    if (!this.isOpen) this.finish();
  }

  private handle(incoming: Incoming): void | Promise<void> {
    if (incoming === 'rate limited') return this.send(ANSWERS.rateLimited);
    if (incoming === 'invalid') return this.send(ANSWERS.invalidMessage);
    return this.rules.dispatch(this, incoming);
  }

  private finish(): void {
    this.rules.finished(this);
  }
}

/** Of a client that has gone, only its goodbye still counts. */
function countsAfterClose(incoming: Incoming): boolean {
  return typeof incoming !== 'string' && GOODBYES.has(incoming.type);
}

const GOODBYES: ReadonlySet<string> = new Set(['logout', 'logout_all']);
