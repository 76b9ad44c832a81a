import { Agent, type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connect } from '../support/client.js';
import { registrationError } from '../support/expected.js';
import { countByType } from '../support/log.js';
import { REGULARS, Siege } from './harness/siege.js';

const LIMIT = 5;
const ADDRESSES = 4;
const CONNECTIONS = 5;
const ATTEMPTS = 20;
const PASSWORD = 'secret1';
const TOO_MANY = 'Too many registrations, try again later';

describe('a flood of registrations', () => {
  let siege: Siege;

  beforeEach(async () => {
    siege = await Siege.begin({ REGISTRATIONS_PER_ADDRESS: `${LIMIT}` });
  });

  afterEach(() => siege?.stop());

  /** Registers again and again by WebSocket; gives how often that succeeded. */
  async function flood(localAddress: string, name: string): Promise<number> {
    const client = await connect(siege.node.wsUrl, { localAddress });
    let registered = 0;
    for (let i = 0; i < ATTEMPTS; i += 1) {
      const payload = { username: `${name}-${i}`, password: PASSWORD };
      const answer = await client.request({ type: 'register', payload }, 30_000);
      if (answer.type === 'register_success') registered += 1;
      else expect(answer).toEqual(registrationError(TOO_MANY));
    }
    await client.close();
    return registered;
  }

  /** The same over HTTP. */
  async function floodHttp(localAddress: string, name: string): Promise<number> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const options = { method: 'POST', localAddress, agent };
    let registered = 0;
    for (let i = 0; i < ATTEMPTS; i += 1) {
      const answer = await new Promise<IncomingMessage>((resolve, reject) => {
        request(`${siege.node.httpUrl}/register`, options, resolve)
          .on('error', reject)
          .end(JSON.stringify({ username: `${name}-${i}`, password: PASSWORD }));
      });
      const body = await text(answer);
      if (answer.statusCode === 201) registered += 1;
      else {
        expect([answer.statusCode, body]).toEqual([429, TOO_MANY]);
        const seconds = Number(answer.headers['retry-after']);
        expect(seconds).toBeGreaterThan(3000);
        expect(seconds).toBeLessThanOrEqual(3600);
      }
    }
    agent.destroy();
    return registered;
  }

  it('registers so many for an address, and leaves nothing else behind', async () => {
    const { redis, env } = siege.fleet;
    const keys = async () => (await redis.keys(`${env.KEY_PREFIX}*`)).length;
    const before = await keys();
    // a password that is hashed takes 19 MB
    await siege.during({ grownMb: 100, slowdown: 20 }, async () => {
      const floods = Array.from({ length: ADDRESSES * CONNECTIONS }, (_, i) => {
        const [address, connection] = [`127.0.7.${i % ADDRESSES}`, Math.floor(i / ADDRESSES)];
        return (connection % 2 === 0 ? flood : floodHttp)(address, `flood-${i}`);
      });
      const registered = (await Promise.all(floods)).reduce((sum, count) => sum + count, 0);
      expect(registered).toBe(LIMIT * ADDRESSES);
    });
    expect(countByType(await siege.fleet.log())['account.registered']).toBe(REGULARS + LIMIT * ADDRESSES);

    // a few keys for each account and address, none for what was refused
    expect((await keys()) - before).toBeLessThan(LIMIT * ADDRESSES * 6);
    const limits = await redis.keys(`${env.KEY_PREFIX}limit:*`);
    expect(limits).toHaveLength(ADDRESSES);
    for (const key of limits) expect(await redis.pttl(key)).toBeGreaterThan(0);
  });
});
