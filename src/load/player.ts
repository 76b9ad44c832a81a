import type { Account } from './accounts.js';
import { Client, ConnectFailed, type Endpoint } from './client.js';
import { nowMs } from './clock.js';
import type { Tally } from './tally.js';

/** What the server may send unasked. */
const PUSHES = ['global_chat', 'private_chat', 'match_found'].map((type) =>
  Buffer.from(`{"type":"${type}",`),
);

/** Takes a message that was not asked for. @returns whether it was for this listener */
export type PushListener = (bytes: Buffer, start: number, end: number) => boolean;

interface Pending {
  readonly operation: string;
  /** What the answer must begin with; null: `fulfil` says that it has come. */
  readonly expected: Buffer | null;
  readonly intendedMs: number;
  readonly deadlineMs: number;
  readonly onAnswer: ((bytes: Buffer, end: number) => void) | undefined;
  readonly resolve: (isDone: boolean) => void;
}

/** An account with a connection. Everything that goes wrong on it is counted here, once. */
export class Player {
  /** Takes what was not asked for, before it is only counted. */
  onPush: PushListener = () => false;

  /** Is told when the connection is lost. */
  onLoss: () => void = () => {};
  /** When that was the last time, by `nowMs`; null: never. */
  lostMs: number | null = null;

  private client: Client | null = null;
  private pending: Pending | null = null;
  private endpoint: Endpoint;

  /**
   * @param number its number among the clients of all workers, from 0
   * @param endpoint where it connects first
   * @param targets URLs that it may turn to when that one fails
   */
  constructor(
    readonly number: number,
    readonly account: Account,
    endpoint: Endpoint,
    private readonly targets: readonly string[],
    readonly tally: Tally,
  ) {
    this.endpoint = endpoint;
  }

  get isConnected(): boolean {
    return this.client?.isOpen ?? false;
  }

  /** Connects. @returns false when it failed, which is counted; the next time it turns to another target */
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
      this.turnAway();
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

  /** Sends a frame, see `textFrame`; whatever answers it is up to `onPush`. */
  send(frame: Buffer): void {
    this.client?.send(frame);
  }

  /**
   * Sends a request and waits for its answer. One at a time.
   * @param operation as what its latency is counted
   * @param expected what the answer must begin with; null: `fulfil` says that it has come
   * @param intendedMs since when it was to be sent, by `nowMs`
   * @param onAnswer gets the expected answer; `bytes` up to `end` are valid during the call only
   * @returns false when another answer came, or none; that is counted
   */
  request(
    operation: string,
    frame: Buffer,
    expected: Buffer | null,
    intendedMs = nowMs(),
    onAnswer?: (bytes: Buffer, end: number) => void,
  ): Promise<boolean> {
    if (!this.isConnected) return Promise.resolve(false);
    return new Promise((resolve) => {
      const deadlineMs = nowMs() + this.endpoint.timeoutMs;
      this.pending = { operation, expected, intendedMs, deadlineMs, onAnswer, resolve };
      this.send(frame);
    });
  }

  /** What was requested has come, in another way than as an answer. */
  fulfil(): void {
    if (this.pending?.expected === null) this.succeed(this.pending);
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
    if (pending?.expected && beginsWith(bytes, start, end, pending.expected)) {
      pending.onAnswer?.(bytes, end);
      this.succeed(pending);
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
    this.lostMs = nowMs();
    this.tally.failed(`connection closed with ${code}${detail && ` (${detail})`}`);
    this.turnAway();
    this.settle(false);
    this.onLoss();
  }

  /** To any other target, so that those of one that is gone are spread over all that are left. */
  private turnAway(): void {
    const others = this.targets.filter((target) => target !== this.endpoint.url);
    const url = others[Math.floor(Math.random() * others.length)];
    if (url !== undefined) this.endpoint = { ...this.endpoint, url };
  }

  private succeed({ operation, intendedMs }: Pending): void {
    this.tally.done(operation, nowMs() - intendedMs);
    this.settle(true);
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
