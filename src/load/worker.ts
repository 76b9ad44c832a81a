import { setTimeout as sleep } from 'node:timers/promises';
import { nowMs } from './clock.js';
import { evenly, inWaves, Pacer, type Schedule } from './pacing.js';
import { type FromWorker, LATE, RETURN, type ToWorker, type WorkerPlan } from './plan.js';
import { Player } from './player.js';
import type { Actor, Scenario, Stage } from './scenarios/scenario.js';
import { SCENARIOS } from './scenarios/scenarios.js';
import { Tally } from './tally.js';

/** Clients that connect at the same time, when there is no rate. */
const CONNECTING = 128;

/** How often it is looked for answers that are late, in ms. */
const CHECK_MS = 250;

/** Times to wait before connecting again after a loss, in ms; doubled each time, and spread by chance. */
const BACKOFF_MS = { from: 50, to: 2000 } as const;

/** How long the server may take to answer the goodbyes, in ms. */
const GOODBYE_MS = 1000;

/** Operations that were due and found no client. */
const NOT_BEGUN = 'not begun: no client was free for it in time';

const abandoned = () => process.exit(1);
process.once('disconnect', abandoned);
process.once('message', (message: ToWorker) => {
  if (message.type === 'plan') void work(message.plan);
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {}); // its parent says when to end

/** Does one worker's part of a run: connects its players, lets them play, and leaves. */
async function work(plan: WorkerPlan): Promise<void> {
  const tally = new Tally();
  const scenario: Scenario = SCENARIOS[plan.scenario];
  const stage: Stage = { plan, listeners: plan.clients };
  const actorOf = scenario.cast(stage);
  const cast: Cast = new Map(playersOf(plan, tally).map((player) => [player, actorOf(player)]));
  const checking = setInterval(() => {
    const now = nowMs();
    for (const player of cast.keys()) player.checkTimeout(now);
  }, CHECK_MS);
  const stop = told('stop');

  const fromMs = nowMs();
  const connected = await connectAll(plan, cast, stop);
  tell({ type: 'ready', connected, counts: tally.take(), fromMs, untilMs: nowMs() });

  const { atMs, listeners } = await told('begin');
  stage.listeners = listeners;
  await sleep(Math.max(0, atMs - nowMs()));
  const cpuBefore = process.cpuUsage();
  const reporting = new Reporting(atMs, tally, [...cast.keys()]);
  await perform(plan, scenario, cast, atMs, tally, stop);
  tell({ type: 'idle' });

  await told('end');
  clearInterval(checking);
  reporting.stop();
  for (const player of cast.keys()) player.leave();
  const { user, system } = process.cpuUsage(cpuBefore);
  tell({ type: 'left', usage: { cpuSeconds: (user + system) / 1e6 }, counts: tally.take() });
  process.off('disconnect', abandoned);
  process.disconnect();
  setTimeout(() => process.exit(), GOODBYE_MS).unref();
}

/** Players, each with its part. */
type Cast = ReadonlyMap<Player, Actor>;

function playersOf(plan: WorkerPlan, tally: Tally): Player[] {
  const { targets, sources, timeoutMs, insecureTls, worker, workers } = plan;
  return plan.accounts.map((account, i) => {
    const url = targets[(i + worker) % targets.length]!; // neighbours are on different nodes
    const source = sources[i % Math.max(1, sources.length)] ?? null;
    const endpoint = { url, source, timeoutMs, insecureTls };
    return new Player(i * workers + worker, account, endpoint, targets, tally);
  });
}

/** The run itself. @param beginMs when it begins, by `nowMs` @param stop settles when it is to end before its time */
async function perform(
  plan: WorkerPlan,
  scenario: Scenario,
  cast: Cast,
  beginMs: number,
  tally: Tally,
  stop: Promise<unknown>,
): Promise<void> {
  const players = [...cast.keys()];
  const activeClients = scenario.pace === 'none' ? 0 : (scenario.active?.(plan) ?? plan.clients);
  const active = players.filter(({ number }) => number < activeClients);
  const others = players.filter(({ number }) => number >= activeClients);
  const endMs = beginMs + plan.durationMs;
  const schedule = scheduleOf(plan, scenario, active.length, activeClients);
  const pacer = new Pacer(schedule, beginMs, endMs);
  const late = schedule ? (ms: number) => tally.done(LATE, ms) : () => {};
  const stopped = stop.then(() => pacer.stop());
  const giveUp = () => {
    if (pacer.remaining > 0) tally.failed(NOT_BEGUN, pacer.remaining);
    pacer.stop();
  };
  const tail = setTimeout(giveUp, endMs + plan.timeoutMs - nowMs());
  keepConnected(others, cast, pacer, plan.awayMs ?? 0);
  const playing = active.map((player) => play(player, cast.get(player)!, scenario, pacer, tally, late));
  await Promise.all([...playing, Promise.race([stopped, sleep(Math.max(0, endMs - nowMs()))])]);
  clearTimeout(tail);
  pacer.stop();
}

/** Connects all players and makes them ready. @param stop settles when no more shall be @returns how many are */
async function connectAll(plan: WorkerPlan, cast: Cast, stop: Promise<unknown>): Promise<number> {
  const waiting = [...cast];
  const beginMs = nowMs();
  const msPerConnection = plan.connectRate === null ? 0 : (1000 * plan.workers) / plan.connectRate;
  let begun = 0;
  let connected = 0;
  const stopped = stop.then(() => waiting.splice(0));
  const connectSome = async () => {
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const [player, actor] = next;
      const dueMs = msPerConnection > 0 ? beginMs + begun++ * msPerConnection : nowMs();
      if (dueMs > nowMs()) await sleep(dueMs - nowMs());
      if ((await player.connect(dueMs)) && (await actor.prepare())) connected += 1;
    }
  };
  const telling = setInterval(() => tell({ type: 'connecting', connected }), 1000);
  await Promise.race([Promise.all(Array.from({ length: CONNECTING }, connectSome)), stopped]);
  clearInterval(telling);
  return connected;
}

/**
 * Plays one player's part until there is nothing left to do.
 * @param late is told how late an operation is begun though the player was free when it was due, in ms: this process' delay
 */
async function play(
  player: Player,
  actor: Actor,
  scenario: Scenario,
  pacer: Pacer,
  tally: Tally,
  late: (ms: number) => void,
): Promise<void> {
  let freeSinceMs = 0; // all are, when the run begins
  for (;;) {
    const intendedMs = await pacer.take();
    if (intendedMs === null) return;
    if (freeSinceMs <= intendedMs) late(nowMs() - intendedMs);
    if (!player.isConnected && !(await comeBack(player, actor, pacer))) {
      tally.failed(NOT_BEGUN);
      return;
    }
    const isDone = await actor.operate(intendedMs);
    freeSinceMs = nowMs();
    if (isDone && scenario.operation) tally.done(scenario.operation, freeSinceMs - intendedMs);
  }
}

/** Clients that are lost together must not come back at one moment: a listening socket has room for few of them. */
const JITTER_MS = 1000;

/**
 * Lets players come back that have nothing to do but to be there, whenever they are gone until the end.
 * @param awayMs how long they wait before they try, and a random time more, as clients should
 */
function keepConnected(players: readonly Player[], cast: Cast, pacer: Pacer, awayMs: number): void {
  const queue = new Queue(CONNECTING);
  const returning = new Set<Player>();
  const bringBack = async (player: Player) => {
    if (returning.has(player)) return;
    returning.add(player);
    await sleep(awayMs + JITTER_MS * Math.random());
    let isBack = false;
    while (!pacer.isOver && !player.isConnected) {
      isBack = await queue.pass(() => comeBack(player, cast.get(player)!, pacer));
    }
    if (isBack && player.lostMs !== null) player.tally.done(RETURN, nowMs() - player.lostMs);
    returning.delete(player);
  };
  for (const player of players) {
    player.onLoss = () => void bringBack(player);
    if (!player.isConnected) void bringBack(player);
  }
}

/** Connects again after a loss, as often as it takes. @returns false when the run ended before */
async function comeBack(player: Player, actor: Actor, pacer: Pacer): Promise<boolean> {
  let backoffMs: number = BACKOFF_MS.from;
  while (!pacer.isOver) {
    if ((await player.connect()) && (await actor.prepare())) return true;
    await sleep(backoffMs * (0.5 + Math.random()));
    backoffMs = Math.min(backoffMs * 2, BACKOFF_MS.to);
  }
  return false;
}

/** Lets so many at a time do something, first come first served. */
class Queue {
  private readonly waiting: (() => void)[] = [];

  constructor(private free: number) {}

  async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.free > 0) this.free -= 1;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.free += 1;
    }
  }
}

/**
 * When the operations of this worker are due; null: whenever a client is free.
 * @param own clients of this worker that do operations
 * @param all of all workers
 */
function scheduleOf(plan: WorkerPlan, { pace }: Scenario, own: number, all: number): Schedule | null {
  const { worker, workers, rate, durationMs, everyMs } = plan;
  if (own === 0) return { operations: 0, dueMs: () => 0 };
  if (rate !== null) return evenly(rate, durationMs, { worker, workers: Math.min(workers, all) });
  return pace === 'waves' ? inWaves(everyMs, durationMs, own) : null;
}

/** Tells each second what was counted in it. */
class Reporting {
  private second = 0;
  private timer: NodeJS.Timeout;

  constructor(
    private readonly beginMs: number,
    private readonly tally: Tally,
    private readonly players: readonly Player[],
  ) {
    this.timer = this.next();
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  private next(): NodeJS.Timeout {
    const atMs = this.beginMs + (this.second + 1) * 1000;
    return setTimeout(() => {
      const connected = this.players.filter(({ isConnected }) => isConnected).length;
      tell({ type: 'second', second: this.second++, connected, counts: this.tally.take() });
      this.timer = this.next();
    }, atMs - nowMs());
  }
}

function tell(message: FromWorker): void {
  process.send!(message);
}

function told<T extends ToWorker['type']>(type: T): Promise<Extract<ToWorker, { type: T }>> {
  return new Promise((resolve) => {
    const listen = (message: ToWorker) => {
      if (message.type !== type) return;
      process.off('message', listen);
      resolve(message as Extract<ToWorker, { type: T }>);
    };
    process.on('message', listen);
  });
}
