import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { hashToken } from '../../src/store/ids.js';
import { logout } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { eventsBySubject } from '../support/fleet.js';
import { enter } from '../support/players.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { LIMIT_MS, Storm, tearDown } from './harness/storm.js';

const HELD = 40;

const DEAF = { isDeaf: true };

let redis: RedisServer;

tearDown(() => redis?.stop());

it(
  'a gateway stands still beyond its lease and goes on: what moved on has moved on, it takes the rest back',
  async () => {
    redis = await startRedis();
    const storm = await Storm.begin({ REDIS_URL: redis.url, PARTITIONS: '4' }, redis.client());
    await storm.again(async () => {
      const { fleet } = storm;
      const [paused, other] = storm.nodes as [(typeof storm.nodes)[0], (typeof storm.nodes)[0]];
      const accounts = await fleet.seed(HELD, `held${performance.now().toFixed()}_`);
      const players = await Promise.all(accounts.map((account) => enter(paused, account, false, DEAF)));
      const tokens = new Set(accounts.map(({ token }) => hashToken(token)));
      const reaped = async () => {
        const sessions = [...eventsBySubject(await fleet.log()).values()].filter(
          ([first]) => first?.type === 'session.started' && tokens.has(String(first.data.token)),
        );
        return (
          sessions.length === HELD && sessions.every((events) => events.at(-1)?.data.reason === 'node_lost')
        );
      };

      paused.kill('SIGSTOP');
      await eventually(reaped, { timeoutMs: 20_000, intervalMs: 500, message: 'its sessions are detached' });
      const moved = await Promise.all(
        accounts.slice(0, HELD / 2).map((account) => enter(other, account, false, DEAF)),
      );
      await delay(storm.random.below(1000));
      paused.kill('SIGCONT');

      for (const { client } of players.slice(0, HELD / 2)) {
        expect(await client.closed).toMatchObject({ code: 1012 });
      }
      for (const { client } of [...moved, ...players.slice(HELD / 2)]) {
        expect(await logout(client)).toEqual({ type: 'logged_out' });
        await client.close();
      }
      await storm.everybodyPlays();
    });
    await storm.end({ losesNodes: true });
  },
  LIMIT_MS,
);
