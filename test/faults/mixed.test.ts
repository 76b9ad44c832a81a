import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { hashToken } from '../../src/store/ids.js';
import { connect, type TestClient } from '../support/client.js';
import { logout, tokenAuth } from '../support/conversation.js';
import { type Account, eventsBySubject, Fleet, storyOf } from '../support/fleet.js';
import type { NodeProcess } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';

const SESSIONS = 10_000;
/** Clients that are connecting, or ending, at the same time. */
const AT_ONCE = 500;
const SEED = 20_240_611;

/** A connection breaks off within this time after the last message was sent, in ms. */
const BREAKS_WITHIN_MS = 15;

let redis: RedisServer;
let fleet: Fleet;
let nodes: NodeProcess[];

beforeAll(async () => {
  redis = await startRedis();
  fleet = new Fleet({ REDIS_URL: redis.url, PARTITIONS: '4' }, redis.client());
  [nodes] = await Promise.all([Promise.all([1, 2, 3].map(() => fleet.serve())), fleet.work()]);
});

afterAll(async () => {
  await fleet?.stop();
  await redis?.stop();
});

it('records each logout once, of 10,000 clients on three nodes that break off at any moment', async () => {
  const accounts = await fleet.seed(SESSIONS);
  const random = randomFrom(SEED);
  const lives = accounts.map((account, i) => new Life(account, i, lotOf(random)));
  await forAll(lives, (life) => life.begin());
  await forAll(lives, (life) => life.end());

  await fleet.untilNobodyIsAttached();
  const log = await fleet.expectConsistent();
  const recorded = new Map<string, string[]>();
  for (const events of eventsBySubject(log).values()) {
    const [{ type, data }] = events as [(typeof events)[0]];
    if (type !== 'session.started') continue;
    const token = String(data.token);
    recorded.set(token, [...(recorded.get(token) ?? []), storyOf(events)]);
  }
  const problems = lives.flatMap(({ account, lot, loggedOut }) => {
    const stories = (recorded.get(hashToken(account.token)) ?? []).join(' | ');
    return EXPECTED[lot.ending][loggedOut]?.test(stories)
      ? []
      : [`${lot.ending}: ${loggedOut} logged_out received, "${stories}" recorded`];
  });
  expect(problems).toEqual([]);
});

/** Does it with all, some at once. */
async function forAll(lives: readonly Life[], work: (life: Life) => Promise<void>): Promise<void> {
  const queue = [...lives];
  const workSome = async () => {
    for (let life = queue.pop(); life; life = queue.pop()) await work(life);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, workSome));
}

/** What may be recorded, by how often the client was told `logged_out`. */
const EXPECTED = {
  logout: [null, /^started logged_out$/],
  break: [/^started detached:closed$/],
  'break in token_auth': [/^(started detached:closed)?$/],
  'break in logout': [/^started (detached:closed|logged_out)$/, /^started logged_out$/],
  'break and come back': [null, /^started detached:(closed|taken_over) resumed logged_out$/],
} as const;
const ENDINGS = Object.keys(EXPECTED) as (keyof typeof EXPECTED)[];
const BREAKS = ['rst', 'fin', 'close frame'] as const;

/** How the life of a client is to go. */
interface Lot {
  readonly ending: (typeof ENDINGS)[number];
  readonly how: (typeof BREAKS)[number];
  readonly breakAfterMs: number;
}

function lotOf(random: () => number): Lot {
  return {
    ending: ENDINGS[Math.floor(random() * ENDINGS.length)]!,
    how: BREAKS[Math.floor(random() * BREAKS.length)]!,
    breakAfterMs: random() * BREAKS_WITHIN_MS,
  };
}

class Life {
  /** How often the client was told `logged_out`. */
  loggedOut = 0;
  private client!: TestClient;

  constructor(
    readonly account: Account,
    private readonly number: number,
    readonly lot: Lot,
  ) {}

  async begin(): Promise<void> {
    this.client = await connect(this.url(0));
    if (this.lot.ending !== 'break in token_auth') await this.authenticate();
  }

  async end(): Promise<void> {
    const { ending, how, breakAfterMs } = this.lot;
    if (ending === 'break in token_auth') {
      this.client.send({ type: 'token_auth', payload: { token: this.account.token } });
    }
    if (ending === 'break in logout') this.client.sendTogether([{ type: 'logout' }, { type: 'logout' }]);
    if (ending === 'logout') await this.logOut();
    else await delay(breakAfterMs);
    breakOff(this.client, how);
    if (ending === 'break and come back') {
      this.client = await connect(this.url(1));
      await this.authenticate();
      await this.logOut();
      await this.client.close();
    }
    await this.client.closed;
    this.loggedOut = this.client.received.filter(({ type }) => type === 'logged_out').length;
  }

  private url(step: number): string {
    return nodes[(this.number + step) % nodes.length]!.wsUrl;
  }

  private async authenticate(): Promise<void> {
    expect(await tokenAuth(this.client, this.account.token, true)).toMatchObject({ type: 'auth_success' });
  }

  private async logOut(): Promise<void> {
    expect(await logout(this.client)).toEqual({ type: 'logged_out' });
  }
}

function breakOff(client: TestClient, how: Lot['how']): void {
  if (how === 'close frame') client.ws.close(1000);
  else client.destroy(how);
}

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}
