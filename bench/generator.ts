import type { Account } from '../src/load/accounts.js';
import { Client } from '../src/load/client.js';
import { textFrame } from '../src/load/frames.js';
import { beginsWith } from '../src/load/player.js';
import { failed, measure, onTask, type Window } from './measurement.js';

/** What clients do over and over, each as soon as it is answered. */
export interface Loop extends Window {
  readonly url: string;
  readonly connections: number;
  /** Messages that each has under way; more than one only with a single step. */
  readonly inFlight: number;
  readonly steps: readonly Step[];
  /** One for each connection, if the steps name them. */
  readonly accounts: readonly Account[];
}

/** One message and its answer. In both, `{1}` is the name of the connection's account, and `{2}` its token. */
export interface Step {
  readonly send: string;
  /** What the answer must begin with. */
  readonly expect: string;
}

/** Connections that are made at the same time. */
const CONNECTING = 64;

const TIMEOUT_MS = 20_000;

class Looper {
  answers = 0;
  isOver = false;
  private client!: Client;
  private step = 0;
  /** Messages that may be sent. */
  private free: number;
  /** Of each step, the frames of all that may be in flight, one after the other. */
  private readonly frames: readonly Buffer[];
  private readonly frameBytes: number;
  private readonly expected: readonly Buffer[];

  constructor(
    private readonly steps: readonly Step[],
    private readonly inFlight: number,
  ) {
    const single = steps.map(({ send }) => textFrame(send));
    this.frames = single.map((frame) => Buffer.concat(Array<Buffer>(inFlight).fill(frame)));
    this.frameBytes = single[0]!.length;
    this.expected = steps.map(({ expect }) => Buffer.from(expect));
    this.free = inFlight;
  }

  async connect(url: string): Promise<void> {
    this.client = await Client.open(
      { url, source: null, insecureTls: false, timeoutMs: TIMEOUT_MS },
      {
        message: (bytes, start, end) => this.answered(bytes, start, end),
        pinged() {},
        lost: (code) => failed(`A connection was closed with ${code}.`),
      },
    );
  }

  /** Sends as much as may be in flight, in one piece. */
  readonly send = (): void => {
    const { free, inFlight } = this;
    if (this.isOver) return;
    this.free = 0;
    const frames = this.frames[this.step]!;
    this.client.send(free === inFlight ? frames : frames.subarray(0, free * this.frameBytes));
  };

  private answered(bytes: Buffer, start: number, end: number): void {
    if (!beginsWith(bytes, start, end, this.expected[this.step]!)) {
      failed(`${this.steps[this.step]!.send} was answered by ${bytes.toString('utf8', start, end)}`);
    }
    this.answers += 1;
    this.step = (this.step + 1) % this.steps.length;
    if (this.free === 0) queueMicrotask(this.send); // when all that has come together has been read
    this.free += 1;
  }
}

async function run(loop: Loop): Promise<void> {
  const { url, connections, inFlight, steps, accounts } = loop;
  const loopers = Array.from({ length: connections }, (_, i) => {
    const filled = (text: string) =>
      text.replace('{1}', accounts[i]?.username ?? '').replace('{2}', accounts[i]?.token ?? '');
    const own = steps.map(({ send, expect }) => ({ send: filled(send), expect: filled(expect) }));
    return new Looper(own, inFlight);
  });
  for (let i = 0; i < connections; i += CONNECTING) {
    await Promise.all(loopers.slice(i, i + CONNECTING).map((looper) => looper.connect(url)));
  }
  for (const looper of loopers) looper.send();
  await measure(() => loopers.reduce((sum, { answers }) => sum + answers, 0), loop);
  for (const looper of loopers) looper.isOver = true;
}

onTask(run);
