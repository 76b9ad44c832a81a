import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect, type Message } from '../support/client.js';
import { tokenAuth } from '../support/conversation.js';
import { AUTH_REQUIRED, RATE_LIMITED } from '../support/expected.js';
import { type Account, PASSWORD } from '../support/fleet.js';
import { encodeFrame } from '../support/frames.js';
import { Siege } from './harness/siege.js';

const ATTACKERS = 20;
const RATE = 50;
const BURST = 100;

const TICK_MS = 20;
const PER_TICK = (10 * RATE * TICK_MS) / 1000;

const DURATION_MS = 3000;

/** Messages of a thousand bytes, more than may wait. */
const AHEAD = Buffer.concat(Array(200).fill(encodeFrame(`{"type":"${'x'.repeat(988)}"}`)));

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
    await siege.during({ grownMb: 60, slowdown: 20 }, () => Promise.all(siege.accounts.map(attack)));
  });
});

describe('messages sent ahead of an answer that takes time', () => {
  let siege: Siege;

  beforeAll(async () => {
    siege = await Siege.begin({ MAILBOX_MESSAGES: '100', HASH_CONCURRENCY: '1' }, ATTACKERS);
  });

  afterAll(() => siege?.stop());

  it('wait up to a number, and beyond it the connection is closed', async () => {
    const attack = async ({ username }: Account) => {
      const login = { type: 'login', payload: { username, password: PASSWORD } };
      const end = performance.now() + DURATION_MS;
      while (performance.now() < end) {
        const client = await connect(siege.node.wsUrl);
        client.send(login);
        client.writeRaw(AHEAD);
        expect((await client.closed).code).toBe(1008);
        await delay(100); // not to test how fast it can refuse
      }
    };
    await siege.during({ grownMb: 100, slowdown: 20 }, () => Promise.all(siege.accounts.map(attack)));
  });
});

function isRateLimited(payload: unknown): boolean {
  return JSON.stringify(payload) === JSON.stringify(RATE_LIMITED.payload);
}
