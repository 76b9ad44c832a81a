import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { connect, type Message } from '../support/client.js';
import { logout, tokenAuth } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { type Account, Fleet, PASSWORD, storyOf } from '../support/fleet.js';
import { countByType } from '../support/log.js';
import type { NodeProcess } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { BusyPlayer, logoutsOf, PATIENCE_MS, patiently, UNAVAILABLE } from './busyPlayer.js';

const STEADY = 200;
const BUSY = 40;

const REGISTER = { type: 'register', payload: { username: 'somebody', password: PASSWORD } };

const AUTH_REQUIRED = {
  type: 'error',
  payload: { message: 'Authentication required', code: 'AUTH_REQUIRED' },
};

const OUTAGES = [
  {
    what: 'stopped for 10 s, with the default settings',
    env: {},
    outageMs: 10_000,
    begin: (redis: RedisServer) => redis.kill('SIGTERM'),
    end: (redis: RedisServer) => redis.start(),
  },
  {
    what: 'hanging for four leases',
    env: { LEASE_SECONDS: '2', COMMIT_TIMEOUT_MS: '1000' },
    outageMs: 8000,
    begin: (redis: RedisServer) => redis.pause(),
    end: async (redis: RedisServer) => redis.resume(),
  },
];

describe('when Redis is away', () => {
  let redis: RedisServer;
  let fleet: Fleet;

  afterEach(async () => {
    await fleet?.stop();
    await redis?.stop();
  });

  it.each(OUTAGES.map((outage) => [outage.what, outage] as const))(
    '(%s) answers what it promises, and loses and doubles nothing',
    async (_, outage) => {
      redis = await startRedis({ appendonly: true });
      fleet = new Fleet({ REDIS_URL: redis.url, ...outage.env }, redis.client());
      const [a, b, worker] = await Promise.all([fleet.serve(), fleet.serve(), fleet.work()]);
      const accounts = await fleet.seed(STEADY + BUSY + 1);
      const nodeOf = (i: number) => (i % 2 === 0 ? a : b);

      // some just stay, some come and go all the time
      const steady = await Promise.all(
        accounts.splice(0, STEADY).map(async ({ token }, i) => {
          const client = await connect(nodeOf(i).wsUrl);
          expect(await tokenAuth(client, token)).toMatchObject({ type: 'auth_success' });
          return { client, token };
        }),
      );
      const busy = accounts.splice(0, BUSY).map((account, i) => new BusyPlayer(nodeOf(i), account));
      const playing = Promise.all(busy.map((player) => player.play()));
      await eventually(() => busy.every(({ rounds }) => rounds > 2));

      const [one] = accounts as [Account];
      const [leaving, coming] = await Promise.all([connect(a.wsUrl), connect(b.wsUrl)]);
      expect(await tokenAuth(leaving, one.token)).toMatchObject({ type: 'auth_success' });

      await outage.begin(redis);
      const longEnough = delay(outage.outageMs); // of what happens behind the outage's back nothing can be seen

      // what protocol.md promises for each message
      const logoutAnswer = patiently(leaving, { type: 'logout' });
      expect(await patiently(coming, loginMessage(one.username))).toEqual(UNAVAILABLE.login);
      expect(await patiently(coming, tokenMessage(one.token))).toEqual(UNAVAILABLE.login);
      expect(await patiently(coming, REGISTER)).toEqual(UNAVAILABLE.register);
      expect(await registerOverHttp(b)).toEqual([500, 'Internal server error']);
      expect(await logoutAnswer).toEqual(UNAVAILABLE.logout);
      expect(await logout(leaving)).toEqual(AUTH_REQUIRED);
      for (const process of [a, b, worker]) {
        await eventually(async () => (await status(process, '/readyz')) === 503, { timeoutMs: 15_000 });
        expect(await status(process, '/livez')).toBe(200);
      }
      await longEnough;
      await outage.end(redis);

      for (const process of [a, b, worker]) {
        await eventually(async () => (await status(process, '/readyz')) === 200, { timeoutMs: 15_000 });
        expect(await status(process, '/livez')).toBe(200);
      }
      expect(await patiently(leaving, tokenMessage(one.token))).toMatchObject({ type: 'auth_success' });
      const roundsBefore = busy.map(({ rounds }) => rounds);
      await eventually(() => busy.every(({ rounds }, i) => rounds > roundsBefore[i]! + 2), {
        timeoutMs: PATIENCE_MS,
      });
      for (const player of busy) player.isOver = true;
      await playing;
      for (const { client } of steady) expect(await logout(client)).toEqual({ type: 'logged_out' });
      await Promise.all([leaving.close(), coming.close()]);
      await fleet.untilNobodyIsAttached();

      // nothing is missing, nothing is doubled, nobody was taken for lost
      const log = await fleet.expectConsistent();
      expect(log.filter(({ data }) => data.reason === 'node_lost')).toEqual([]);
      expect(countByType(log)['session.logged_out']).toBe(STEADY + logoutsOf(busy) + 1);
      for (const { token } of steady.slice(0, 10)) {
        expect((await fleet.sessionsOf(token)).map(storyOf)).toEqual(['started logged_out']);
      }
      expect((await fleet.sessionsOf(one.token)).map(storyOf)).toEqual([
        'started logged_out',
        'started detached:closed',
      ]);
    },
  );
});

function tokenMessage(token: string): Message {
  return { type: 'token_auth', payload: { token } };
}

function loginMessage(username: string): Message {
  return { type: 'login', payload: { username, password: PASSWORD } };
}

async function status({ adminUrl }: NodeProcess, path: string): Promise<number> {
  const { status } = await fetch(adminUrl + path);
  return status;
}

async function registerOverHttp({ httpUrl }: NodeProcess): Promise<[number, string]> {
  const body = JSON.stringify(REGISTER.payload);
  const response = await fetch(`${httpUrl}/register`, { method: 'POST', body });
  return [response.status, await response.text()];
}
