import { afterEach, expect, it } from 'vitest';
import { connect } from '../support/client.js';
import { tokenAuth } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { Fleet } from '../support/fleet.js';
import { enter } from '../support/players.js';
import { startProxy, type TcpProxy } from '../support/proxy.js';
import { type RedisServer, startRedis } from '../support/redis.js';

/** Sessions are compared with Redis every half minute, and a bit. */
const COMPARED_MS = 40_000;

let redis: RedisServer;
let proxy: TcpProxy;
let fleet: Fleet;

afterEach(async () => {
  await fleet?.stop();
  await proxy?.stop();
  await redis?.stop();
});

it('a subscription that silently loses notices, while heartbeats pass: what was ended or taken over is found out', async () => {
  redis = await startRedis();
  proxy = await startProxy({ host: '127.0.0.1', port: redis.port });
  fleet = new Fleet({ REDIS_URL: redis.url }, redis.client());
  const [hearing, deaf, accounts] = await Promise.all([
    fleet.serve(),
    fleet.serve({ REDIS_URL: `redis://127.0.0.1:${proxy.port}` }),
    fleet.seed(3),
  ]);
  const players = await Promise.all(accounts.map((account) => enter(deaf, account)));
  const [ended, takenOver, left] = players as [(typeof players)[0], (typeof players)[0], (typeof players)[0]];

  proxy.discard((reply) => /"type":"(?:ended|taken_over)"/.test(reply.toString()));
  expect(await fleet.cli('logout', ended.username)).toMatchObject({ code: 0 });
  const heir = await connect(hearing.wsUrl);
  expect(await tokenAuth(heir, takenOver.token, true)).toMatchObject({ type: 'auth_success' });
  await eventually(() => proxy.repliesDiscarded === 2);

  // it hears the others still, and so takes its subscription for a good one
  const counts = async () =>
    expect(await left.client.request({ type: 'count' })).toMatchObject({ payload: 4 });
  await eventually(counts);
  expect(ended.client.received).toHaveLength(1);
  expect(takenOver.client.ws.readyState).toBe(takenOver.client.ws.OPEN);

  const [told, closed] = await Promise.all([ended.client.next(COMPARED_MS), takenOver.client.closed]);
  expect(told).toEqual({ type: 'logged_out', payload: { reason: 'operator' } });
  expect(closed).toMatchObject({ code: 4001 });
  await fleet.expectConsistent();
});
