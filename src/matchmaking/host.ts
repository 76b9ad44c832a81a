import type { Logger } from 'pino';
import type { Publisher } from '../bus/publisher.js';
import type { Launcher } from '../game/launcher.js';
import type { Ports } from '../game/ports.js';
import type { GameServer } from '../match/match.js';
import { ANSWERS, type Frame, matchFound } from '../protocol/answers.js';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { reading } from '../redis/unavailable.js';
import type { UntilDone } from '../redis/untilDone.js';
import type { SessionState } from '../session/state.js';
import type { Matches } from '../store/matches.js';
import type { Sessions } from '../store/sessions.js';

export interface HostOptions {
  readonly redis: RedisClient;
  readonly keys: Keys;
  readonly matches: Matches;
  readonly sessions: Sessions;
  readonly untilDone: UntilDone;
  readonly publisher: Publisher;
  readonly launcher: Launcher;
  readonly ports: Ports;
  /** Id of this worker. */
  readonly worker: string;
  /** Name of this machine: workers with the same one can watch over each other's game servers. */
  readonly machine: string;
  /** Where players reach this machine. */
  readonly address: string;
  readonly logger: Logger;
}

const WATCH_MS = 10_000;

/** A match whose game server nobody has been able to watch over for this long is over, in ms. */
const LOST_MS = 24 * 3_600_000;

/** How long a formed match may be without its launch, and a failed one with its players, in ms. */
const LEFT_BEHIND_MS = 10_000;

/** Runs game servers on this machine: starts one for a match, tells its players, watches over it until it ends. */
export class Host {
  private readonly closing = new AbortController();
  private readonly watched = new Map<string, string>();

  constructor(private readonly options: HostOptions) {}

  /**
   * Starts the game server of a match that is formed; does nothing if it is not, or not any more.
   * @throws Error when it could not be started; it may be tried again
   */
  async launch(match: string): Promise<void> {
    const { matches, launcher, ports, machine, address, untilDone } = this.options;
    const { state, names } = await matches.load(match);
    if (state.status !== 'formed') return;
    const port = await ports.take(match);
    if (port === null) throw new Error('all ports for game servers are taken');

    let id: string;
    const { players } = state;
    try {
      id = await launcher.start({ match, port, players: names });
    } catch (error) {
      await ports.giveBack(port, match);
      throw error;
    }
    const server: GameServer = { host: address, port, server: id, machine };
    const started = await untilDone(() => matches.execute(match, { type: 'start', server }));
    if (!started) {
      await launcher.stop(id);
      await ports.giveBack(port, match);
      return;
    }
    void this.watch(match, server);
    await this.tell(players, matchFound(address, port, id, names));
  }

  /** The game server of a match can't be started: its players are told, and in line again. */
  async giveUp(match: string): Promise<void> {
    await this.options.matches.execute(match, { type: 'fail' });
    await this.seeToPlayers(match);
  }

  /**
   * Sees to what others have left behind in a partition: matches without a launch, players of matches that failed, matches
   * whose machine is gone.
   * @param relaunch is told of formed matches whose launch may have got lost
   * @throws Unavailable
   */
  async sweep(partition: number, relaunch: (match: string) => Promise<void>): Promise<void> {
    const { redis, keys, matches } = this.options;
    const now = await reading(redis.time(keys.log(partition)));
    for (const match of await matches.pending(partition, now - LEFT_BEHIND_MS)) {
      const { state } = await matches.load(match);
      if (state.status === 'formed') await relaunch(match);
      else if (state.status === 'failed') await this.seeToPlayers(match);
    }
    for (const match of await matches.longRunning(partition, now - LOST_MS)) {
      const isWatched = await reading(redis.raw.exists(keys.watch(match)));
      if (!isWatched) await matches.execute(match, { type: 'end', reason: 'lost' });
    }
  }

  /** Sees to this machine: game servers that nobody watches over, ports whose matches are over. @throws Unavailable */
  async sweepMachine(): Promise<void> {
    const { matches, ports, machine } = this.options;
    for (const [port, match] of await ports.taken()) {
      if (this.watched.has(match)) continue;
      const { state } = await matches.load(match);
      const runsHere =
        state.status === 'started' && state.server.machine === machine && state.server.port === port;
      if (runsHere) void this.watch(match, state.server);
      else if (state.status !== 'formed') await ports.giveBack(port, match);
    }
  }

  /**
   * Stops to watch over game servers; they live on.
   * @param stop ends them, instead
   */
  async close(stop: boolean): Promise<void> {
    const { launcher } = this.options;
    if (stop) {
      await Promise.all([...this.watched.values()].map((id) => launcher.stop(id)));
      // they end, and that is recorded, if it doesn't take too long
      for (let i = 0; i < 20 && this.watched.size > 0; i += 1) await delay(50);
    }
    this.closing.abort();
  }

  /** Waits for the end of a game server and records it, unless another worker does. Never rejects. */
  private async watch(match: string, { port, server }: GameServer): Promise<void> {
    const { redis, keys, worker, launcher, matches, ports, untilDone, logger } = this.options;
    if (this.watched.has(match) || this.closing.signal.aborted) return;
    this.watched.set(match, server);
    const renew = async () => {
      const lock = redis.script('watchMatch', WATCH);
      return Number(await reading(lock(1, keys.watch(match), worker, WATCH_MS))) === 1;
    };
    let timer: NodeJS.Timeout | undefined;
    try {
      if (!(await renew())) return;
      timer = setInterval(() => void renew().catch(() => {}), WATCH_MS / 3);
      await launcher.ended(server, this.closing.signal);
      await untilDone(() => matches.execute(match, { type: 'end', reason: 'exited' }));
      await untilDone(() => ports.giveBack(port, match));
      await redis.raw.del(keys.watch(match)).catch(() => {}); // it runs out
      logger.info({ match, server }, 'game server has ended');
    } catch (error) {
      if (!this.closing.signal.aborted) logger.warn({ err: error, match }, 'game server is not watched over');
    } finally {
      clearInterval(timer);
      this.watched.delete(match);
    }
  }

  private async seeToPlayers(match: string): Promise<void> {
    const { matches, sessions } = this.options;
    const { state } = await matches.load(match);
    if (state.status !== 'failed') return;
    const outcomes = await Promise.all(
      state.players.map((id) => sessions.execute(id, { type: 'unmatch', match })),
    );
    await this.tell(
      state.players.filter((_, i) => outcomes[i]!.done),
      ANSWERS.matchError,
    );
    await matches.forget(match);
  }

  /** Tells those who are there. What can't be told is not said again: chat and notices are at most once. */
  private async tell(players: readonly string[], frame: Frame): Promise<void> {
    const { sessions, publisher, logger } = this.options;
    await Promise.all(
      players.map(async (id) => {
        try {
          const node = nodeOf((await sessions.load(id)).state);
          if (node !== null) await publisher.deliver(node, [id], frame);
        } catch (error) {
          logger.warn({ err: error, session: id }, 'player could not be told of the match');
        }
      }),
    );
  }
}

/** KEYS[1] lock; ARGV[1] worker; ARGV[2] ms. Returns 1 if the worker has it now, for that long. */
const WATCH = `
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`;

function nodeOf(state: SessionState): string | null {
  return state.status === 'attached' ? state.attachment.node : null;
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
