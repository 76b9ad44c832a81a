import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type Message } from '../support/client.js';
import { tokenAuth } from '../support/conversation.js';
import { AUTH_REQUIRED, RATE_LIMITED } from '../support/expected.js';
import type { Account } from '../support/fleet.js';
import { Siege } from './harness/siege.js';

const ATTACKERS = 20;
const RATE = 50;
const BURST = 100;

const TICK_MS = 20;
const PER_TICK = (10 * RATE * TICK_MS) / 1000;

const DURATION_MS = 3000;

describe('messages at ten times the rate', () => {
  let siege: Siege;

  beforeAll(async () => {
    siege = await Siege.begin({ MESSAGE_RATE: `${RATE}`, MESSAGE_BURST: `${BURST}` }, ATTACKERS);
  });

  afterAll(() => siege?.stop());

  /** Sends until it is closed; gives the answers. */
  async function flood(account: Account | null): Promise<readonly Message[]> {
    const client = await connect(siege.node.wsUrl);
    if (account) expect((await tokenAuth(client, account.token)).type).toBe('auth_success');
    const flooding = setInterval(() => client.sendTogether(Array(PER_TICK).fill({ type: 'count' })), TICK_MS);
    const { code, reason } = await client.closed;
    clearInterval(flooding);
    expect({ code, reason }).toEqual({ code: 1008, reason: 'Too many messages' });
    return account ? client.received.slice(1) : client.received;
  }

  it.each([
    ['with a session', true],
    ['without a session', false],
  ])('%s are answered RATE_LIMITED, then closed, however often they come again', async (_, hasSession) => {
    const answered = hasSession ? { type: 'player_count', payload: expect.any(Number) } : AUTH_REQUIRED;
    const attack = async (account: Account) => {
      const end = performance.now() + DURATION_MS;
      while (performance.now() < end) {
        const answers = await flood(hasSession ? account : null);
        const refused = answers.findIndex(({ payload }) => isRateLimited(payload));
        expect(answers.slice(0, refused)).toEqual(Array(refused).fill(answered));
        expect(refused).toBeGreaterThanOrEqual(BURST - 1); // token_auth was a message, too
        expect(answers.filter(({ payload }) => isRateLimited(payload)).length).toBeGreaterThanOrEqual(BURST);
      }
    };
    const { slowdown, grownMb } = await siege.during(() => Promise.all(siege.accounts.map(attack)));
    expect(grownMb).toBeLessThan(60);
    expect(slowdown).toBeLessThan(20);
  });
});

function isRateLimited(payload: unknown): boolean {
  return JSON.stringify(payload) === JSON.stringify(RATE_LIMITED.payload);
}
