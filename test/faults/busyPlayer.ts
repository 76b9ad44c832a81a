import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { connect, type Message, type TestClient } from '../support/client.js';
import type { Account } from '../support/fleet.js';
import type { NodeProcess } from '../support/processes.js';

/** More than a read, a commit or a failover may take until it is done or given up, in ms. */
export const PATIENCE_MS = 30_000;

/** What protocol.md promises while Redis is away. */
export const UNAVAILABLE = {
  login: { type: 'auth_error', payload: { message: 'Service unavailable, try again later' } },
  register: {
    type: 'error',
    payload: { message: 'Registration failed due to a server error', code: 'REGISTRATION_ERROR' },
  },
  logout: {
    type: 'error',
    payload: { message: 'Service unavailable, try again later', code: 'SERVICE_UNAVAILABLE' },
  },
};

const PAUSE_MS = 50;

/** Logs in by token and out all the time, and counts what it is told; it takes no other answers than the promised ones. */
export class BusyPlayer {
  /** Logins, good or not. */
  rounds = 0;
  loggedOut = 0;
  /** Logouts that could not be recorded in time. */
  unavailable = 0;
  /** To be set when it is to stop. */
  isOver = false;

  constructor(
    private readonly node: NodeProcess,
    private readonly account: Account,
  ) {}

  async play(): Promise<void> {
    const client = await connect(this.node.wsUrl);
    for (; !this.isOver; this.rounds += 1) {
      const answer = await patiently(client, { type: 'token_auth', payload: { token: this.account.token } });
      if (answer.type === 'auth_success') await this.leave(client);
      else {
        expect(answer).toEqual(UNAVAILABLE.login);
        await delay(PAUSE_MS); // not to be a denial of service
      }
    }
    await client.close();
  }

  private async leave(client: TestClient): Promise<void> {
    const answer = await patiently(client, { type: 'logout' });
    if (answer.type === 'logged_out') {
      expect(answer).toEqual({ type: 'logged_out' });
      this.loggedOut += 1;
    } else {
      expect(answer).toEqual(UNAVAILABLE.logout);
      this.unavailable += 1;
    }
  }
}

/** Sends a message and waits for the answer for as long as a client may have to. */
export function patiently(client: TestClient, message: Message): Promise<Message> {
  return client.request(message, PATIENCE_MS);
}

/** The logouts that the players have asked for and that must be in the log: those told of, and those promised for later. */
export function logoutsOf(players: readonly BusyPlayer[]): number {
  return players.reduce((sum, { loggedOut, unavailable }) => sum + loggedOut + unavailable, 0);
}
