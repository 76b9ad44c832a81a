/** What a game server is started with. */
export interface LaunchRequest {
  readonly match: string;
  /** Names of the players. */
  readonly players: readonly string[];
}

/** A game server that runs. */
export interface Launched {
  /** Its id, for its launcher. */
  readonly id: string;
  /** Where players reach it. */
  readonly host: string;
  readonly port: number;
}

/** What is taken for a game server. */
export interface Place {
  readonly match: string;
  readonly port: number;
}

/** What has been taken for a game server, for so long (ms). */
export interface Held extends Place {
  readonly ageMs: number;
}

/** There is no room for one more game server now. */
export class NoRoom extends Error {
  constructor() {
    super('there is no room for one more game server');
  }
}

/** Starts game servers, somewhere. One outlives the worker that has started it. */
export interface Launcher {
  /** Names what it can watch over: whatever a launcher with the same name has started. */
  readonly scope: string;
  /** Starts one; also if one is being started for the same match. @throws NoRoom; Error with one clear sentence; Unavailable */
  start(request: LaunchRequest): Promise<Launched>;
  /** Resolves when one has ended, at once if it has already. @throws Error when that can't be told now, or by the signal */
  ended(id: string, signal: AbortSignal): Promise<void>;
  /** Ends one, if it still runs. Never rejects. */
  stop(id: string): Promise<void>;
  /** What is held in its scope, for game servers that run or are being started. @throws Unavailable */
  held(): Promise<readonly Held[]>;
  /** Gives back what is held for a game server that is over. @throws Unavailable */
  release(place: Place): Promise<void>;
}

/** The players as their names in JSON, in the variable `PLAYERS_JSON` of a game server. */
export function playersJson(players: readonly string[]): string {
  return JSON.stringify(players);
}
