import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { connect, type TestClient } from '../../support/client.js';
import { authSuccess, LOGGED_OUT, privateChat } from '../../support/expected.js';
import type { Account } from '../../support/fleet.js';
import type { NodeProcess } from '../../support/processes.js';

/** Where the well-behaved come from, so that no limit by address concerns them. */
export const HOME = '127.0.9.9';

/** Four messages a round, and well below the default of MESSAGE_RATE. */
const PAUSE_MS = 100;

/** How long an answer may take while the server is attacked, in ms. */
const PATIENCE_MS = 20_000;

/** A well-behaved client: logs in by token, counts, chats and logs out all the time, and takes no other answers than the right ones. */
export class Regular {
  /** How long each round took, in ms. */
  readonly rounds: number[] = [];

  private constructor(
    private readonly client: TestClient,
    private readonly account: Account,
  ) {}

  static async arrive({ wsUrl }: NodeProcess, account: Account): Promise<Regular> {
    return new Regular(await connect(wsUrl, { localAddress: HOME, isDeaf: true }), account);
  }

  /** Plays on until told to stop; rejects at the first wrong answer. */
  async play(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const startedAt = performance.now();
      await this.round();
      this.rounds.push(performance.now() - startedAt);
      await delay(PAUSE_MS);
    }
  }

  private async round(): Promise<void> {
    const { client } = this;
    const { username, token } = this.account;
    const payload = { token };
    const answer = await client.request({ type: 'token_auth', payload }, PATIENCE_MS);
    expect(answer).toEqual(authSuccess(username, token));
    const count = await client.request({ type: 'count' }, PATIENCE_MS);
    expect(count).toEqual({ type: 'player_count', payload: expect.any(Number) });
    const whisper = { type: 'private_chat', payload: { target: username, message: 'to myself' } };
    expect(await client.request(whisper, PATIENCE_MS)).toEqual(privateChat(username, 'to myself'));
    expect(await client.request({ type: 'logout' }, PATIENCE_MS)).toEqual(LOGGED_OUT);
  }
}
