import type { Logger } from 'pino';
import type { Publisher } from '../bus/publisher.js';
import { each } from '../each.js';
import type { Launcher } from '../game/launcher.js';
import type { GameServer } from '../match/match.js';
import { ANSWERS, matchFound } from '../protocol/answers.js';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { reading } from '../redis/unavailable.js';
import type { UntilDone } from '../redis/untilDone.js';
import type { SessionState } from '../session/state.js';
import type { Matches } from '../store/matches.js';
import type { Sessions } from '../store/sessions.js';
import type { FormingPause } from './pause.js';

export interface HostOptions {
  readonly redis: RedisClient;
  readonly keys: Keys;
  readonly matches: Matches;
  readonly sessions: Sessions;
  readonly untilDone: UntilDone;
  readonly publisher: Publisher;
  readonly launcher: Launcher;
  readonly pause: FormingPause;
  /** Id of this worker. */
  readonly worker: string;
  /** How long a game server may be without a watching worker before its match is over, in ms. */
  readonly lostMs?: number;
  readonly logger: Logger;
}

const WATCH_MS = 10_000;

/** A match whose game server nobody has watched over for this long is over, in ms. */
const LOST_MS = 10 * 60_000;

/** No game server takes longer to be started, in ms. */
const STARTING_MS = 120_000;

/** How long a formed match may be without its launch, and players without being told of theirs, in ms. */
const LEFT_BEHIND_MS = 10_000;

/** Has game servers started for matches, tells their players, and watches over them until they end. */
export class Host {
  private readonly closing = new AbortController();
  private readonly watched = new Map<string, GameServer>();
  /** By partition: matches that nobody was found to watch over, since when, by `performance.now()`. */
  private readonly unwatched = new Map<number, ReadonlyMap<string, number>>();

  constructor(private readonly options: HostOptions) {}

  /**
   * Starts the game server of a match that is formed; does nothing if it is not, or not any more.
   * @throws NoRoom; Error when it could not be started; it may be tried again
   */
  async launch(match: string): Promise<void> {
    const { matches, launcher, pause, untilDone, logger } = this.options;
    const { state, names } = await matches.load(match);
    if (state.status !== 'formed') return;
    const { id, host, port } = await launcher.start({ match, players: names });
    const server: GameServer = { host, port, server: id, machine: launcher.scope };
    const started = await untilDone(() => matches.execute(match, { type: 'start', server }));
    if (!started) {
      await launcher.stop(id);
      await launcher.release({ match, port });
      return;
    }
    void this.watch(match, server);
    // what fails here is left to the sweep
    await Promise.all([this.tellOfStart(match), pause.end()]).catch((error: unknown) => {
      logger.debug({ err: error, match }, 'players are told of their match later');
    });
  }

  /** The game server of a match can't be started: its players are told, and in line again. */
  async giveUp(match: string): Promise<void> {
    const { matches, pause } = this.options;
    if (await matches.execute(match, { type: 'fail' })) await pause.begin();
    await this.tellOfFailure(match);
  }

  /**
   * Sees to what others have left behind in a partition: matches without a launch, players who were not told of theirs.
   * @param relaunch is told of formed matches whose launch may have got lost
   * @throws Unavailable
   */
  async sweep(partition: number, relaunch: (match: string) => Promise<void>): Promise<void> {
    const { redis, keys, matches } = this.options;
    const now = await reading(redis.time(keys.log(partition)));
    await each(await matches.pending(partition, now - LEFT_BEHIND_MS), async (match) => {
      const { state } = await matches.load(match);
      if (state.status === 'formed') await relaunch(match);
      else if (state.status === 'started') await this.tellOfStart(match);
      else await this.tellOfFailure(match);
    });
  }

  /** Sees to what is here: game servers that nobody watches over, what is held for matches that are over. @throws Unavailable */
  async sweepScope(): Promise<void> {
    const { matches, launcher } = this.options;
    await each(await launcher.held(), async (held) => {
      const { match, port, ageMs } = held;
      if (this.watched.get(match)?.port === port) return;
      const { state } = await matches.load(match);
      if (state.status === 'formed' && ageMs < STARTING_MS) return;
      const isItsServer =
        state.status === 'started' && state.server.machine === launcher.scope && state.server.port === port;
      if (isItsServer) void this.watch(match, state.server);
      else await launcher.release(held);
    });
  }

  /**
   * Stops to watch over game servers; they live on.
   * @param stop ends them, instead
   */
  async close(stop: boolean): Promise<void> {
    const { launcher } = this.options;
    if (stop) {
      await Promise.all([...this.watched.values()].map(({ server }) => launcher.stop(server)));
      // they end, and that is recorded, if it doesn't take too long
      for (let i = 0; i < 20 && this.watched.size > 0; i += 1) await delay(50);
    }
    this.closing.abort();
  }

  /** Ends the matches of a partition whose game servers nobody watches over any more: their machine is gone. @throws Unavailable */
  async endUnwatched(partition: number): Promise<void> {
    const { redis, keys, matches, lostMs = LOST_MS } = this.options;
    const running = await matches.running(partition);
    if (running.length === 0) return;
    const watchers = await reading(redis.raw.mget(running.map((match) => keys.watch(match))));
    const previously = this.unwatched.get(partition);
    const now = performance.now();
    const unwatched = new Map<string, number>();
    for (const [i, match] of running.entries()) {
      if (watchers[i] === null) unwatched.set(match, previously?.get(match) ?? now);
    }
    this.unwatched.set(partition, unwatched);
    await each([...unwatched], async ([match, since]) => {
      if (now - since > lostMs) await matches.execute(match, { type: 'end', reason: 'lost' });
    });
  }

  /** Waits for the end of a game server and records it, unless another worker does. Never rejects. */
  private async watch(match: string, gameServer: GameServer): Promise<void> {
    const { redis, keys, worker, launcher, matches, untilDone, logger } = this.options;
    if (this.watched.has(match) || this.closing.signal.aborted) return;
    this.watched.set(match, gameServer);
    const { port, server } = gameServer;
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
      await untilDone(() => launcher.release({ match, port }));
      await redis.raw.del(keys.watch(match)).catch(() => {}); // it runs out
      logger.info({ match, server }, 'game server has ended');
    } catch (error) {
      if (!this.closing.signal.aborted) logger.warn({ err: error, match }, 'game server is not watched over');
    } finally {
      clearInterval(timer);
      this.watched.delete(match);
    }
  }

  /** Tells the players of a match that it has started, unless that is done. */
  private async tellOfStart(match: string): Promise<void> {
    const { matches } = this.options;
    const { state, names } = await matches.load(match);
    if (state.status !== 'started') return;
    const { host, port, server } = state.server;
    await this.tell(match, state.players, matchFound(host, port, server, names));
    await matches.told(match);
  }

  /** Tells the players of a match that it has failed, and puts them in line again, unless that is done. */
  private async tellOfFailure(match: string): Promise<void> {
    const { matches, sessions } = this.options;
    const { state } = await matches.load(match);
    if (state.status !== 'failed') return;
    await this.tell(match, state.players, ANSWERS.matchError);
    await Promise.all(state.players.map((id) => sessions.execute(id, { type: 'unmatch', match })));
    await matches.forget(match);
  }

  /**
   * Tells the players of a match who are there. Should this fail half way, or the worker die before it is noted that they were
   * told, they are told again.
   * @throws Unavailable
   */
  private async tell(match: string, players: readonly string[], frame: string): Promise<void> {
    const { sessions, publisher } = this.options;
    await Promise.all(
      players.map(async (id) => {
        const node = nodeOfPlayer((await sessions.load(id)).state, match);
        if (node !== null) await publisher.deliver(node, [id], frame);
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

/** Where a player of a match is; null if he is not there, or has to do with it no more. */
function nodeOfPlayer(state: SessionState, match: string): string | null {
  const isPlayer =
    state.status === 'attached' && state.play?.status === 'matched' && state.play.match === match;
  return isPlayer ? state.attachment.node : null;
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
