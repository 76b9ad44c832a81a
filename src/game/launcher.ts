/** What a game server is started with. */
export interface LaunchRequest {
  readonly match: string;
  /** TCP and UDP port of this machine that the players will connect to. */
  readonly port: number;
  /** Names of the players. */
  readonly players: readonly string[];
}

/** Starts game servers on this machine. One outlives the worker that has started it; any other here can watch over it. */
export interface Launcher {
  /** Starts one. @returns its id @throws Error with one clear sentence */
  start(request: LaunchRequest): Promise<string>;
  /** Resolves when it has ended, at once if it has already. @throws Error when that can't be told now, or by the signal */
  ended(id: string, signal: AbortSignal): Promise<void>;
  /** Ends one, if it still runs. Never rejects. */
  stop(id: string): Promise<void>;
}

/** The players as their names in JSON, in the variable `PLAYERS_JSON` of a game server. */
export function playersJson(players: readonly string[]): string {
  return JSON.stringify(players);
}
