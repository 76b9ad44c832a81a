import type { Account } from './accounts.js';
import { Client, ConnectFailed, type Endpoint } from './client.js';
import { nowMs } from './clock.js';
import { textFrame } from './frames.js';
import type { Tally } from './tally.js';

/** What the server may send unasked. */
const PUSHES = ['global_chat', 'private_chat', 'match_found'].map((type) =>
  Buffer.from(`{"type":"${type}",`),
);

/** Takes a message that was not asked for. @returns whether it was for this listener */
export type PushListener = (bytes: Buffer, start: number, end: number) => boolean;

interface Pending {
  readonly operation: string;
  /** What the answer must begin with. */
  readonly expected: Buffer;
  readonly intendedMs: number;
  readonly deadlineMs: number;
  readonly resolve: (isDone: boolean) => void;
}

/** An account with a connection. Everything that goes wrong on it is counted here, once. */
export class Player {
  /** Its `token_auth`, and the answer to it. */
  readonly tokenAuth: Buffer;
  readonly authenticated: Buffer;
  /** Takes what was not asked for, before it is only counted. */
  onPush: PushListener = () => false;

  private client: Client | null = null;
  private pending: Pending | null = null;

  constructor(
    /** Its number among the clients of all workers, from 0. */
    readonly number: number,
    readonly account: Account,
    private readonly endpoint: Endpoint,
    readonly tally: Tally,
  ) {
    this.tokenAuth = textFrame(JSON.stringify({ type: 'token_auth', payload: { token: account.token } }));
    this.authenticated = Buffer.from(JSON.stringify({ type: 'auth_success', payload: account }));
  }

  get isConnected(): boolean {
    return this.client?.isOpen ?? false;
  }

  /** Connects. @returns false when it failed, which is counted */
  async connect(intendedMs = nowMs()): Promise<boolean> {
    try {
      this.client = await Client.open(this.endpoint, {
        message: (bytes, start, end) => this.message(bytes, start, end),
        pinged: () => this.tally.count('pings answered'),
        lost: (code, detail) => this.lost(code, detail),
      });
    } catch (error) {
      if (!(error instanceof ConnectFailed)) throw error;
      this.tally.failed(`connect: ${error.message}`);
      return false;
    }
    this.tally.done('connect', nowMs() - intendedMs);
    return true;
  }

  /** Cuts the connection with a reset, as a crash does. */
  drop(): void {
    this.client?.reset();
    this.client = null;
  }

  /** Closes the connection as a client does that goes. */
  leave(): void {
    this.client?.close();
    this.client = null;
    this.settle(false);
  }

  /** Sends a frame, see `textFrame`. */
  send(frame: Buffer): void {
    this.client?.send(frame);
  }

  /**
   * Sends a request and waits for its answer. One at a time.
   * @param operation as what its latency is counted
   * @param expected what the answer must begin with
   * @param intendedMs since when it was to be sent, by `nowMs`
   * @returns false when another answer came, or none; that is counted
   */
  request(operation: string, frame: Buffer, expected: Buffer, intendedMs = nowMs()): Promise<boolean> {
    const answer = this.expect(operation, expected, intendedMs);
    this.client?.send(frame);
    return answer;
  }

  /** Waits for a message that was asked for in another way. */
  expect(operation: string, expected: Buffer, intendedMs: number): Promise<boolean> {
    if (!this.isConnected) return Promise.resolve(false);
    return new Promise((resolve) => {
      const deadlineMs = nowMs() + this.endpoint.timeoutMs;
      this.pending = { operation, expected, intendedMs, deadlineMs, resolve };
    });
  }

  /** Gives up what takes too long; to be called now and then. */
  checkTimeout(now: number): void {
    const { pending } = this;
    if (!pending || now < pending.deadlineMs) return;
    this.tally.failed(`${pending.operation}: no answer within ${this.endpoint.timeoutMs / 1000} s`);
    this.drop();
    this.settle(false);
  }

  private message(bytes: Buffer, start: number, end: number): void {
    const { pending } = this;
    if (pending && beginsWith(bytes, start, end, pending.expected)) {
      this.tally.done(pending.operation, nowMs() - pending.intendedMs);
      this.settle(true);
    } else if (this.onPush(bytes, start, end)) {
      return;
    } else if (PUSHES.some((push) => beginsWith(bytes, start, end, push))) {
      this.tally.count('other messages received');
    } else {
      this.tally.failed(
        `${pending?.operation ?? 'unasked'}: ${problemIn(bytes.toString('utf8', start, end))}`,
      );
      this.settle(false);
    }
  }

  private lost(code: number, detail: string): void {
    this.client = null;
    this.tally.failed(`connection closed with ${code}${detail && ` (${detail})`}`);
    this.settle(false);
  }

  private settle(isDone: boolean): void {
    const { pending } = this;
    this.pending = null;
    pending?.resolve(isDone);
  }
}

/** Whether the bytes from `start` until before `end` begin with others. */
export function beginsWith(bytes: Buffer, start: number, end: number, beginning: Buffer): boolean {
  const { length } = beginning;
  return end - start >= length && bytes.compare(beginning, 0, length, start, start + length) === 0;
}

/** What an answer says that was not expected: its type, and its code or message. */
function problemIn(text: string): string {
  try {
    const { type, payload } = JSON.parse(text) as { type?: unknown; payload?: Record<string, unknown> };
    const detail = payload?.code ?? payload?.message ?? payload?.reason;
    if (typeof type === 'string') return typeof detail === 'string' ? `${type} ${detail}` : type;
  } catch {
    // told below
  }
  return `no message: ${text.slice(0, 80)}`;
}
