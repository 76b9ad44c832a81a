import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../support/client.js';
import { logout, tokenAuth } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { type Account, Fleet } from '../support/fleet.js';
import type { NodeProcess } from '../support/processes.js';
import { HAS_PROMETHEUS, Prometheus, promtool } from '../support/prometheus.js';
import { type RedisServer, startRedis } from '../support/redis.js';

const RULES = fileURLToPath(new URL('../../monitoring/alerts.yaml', import.meta.url));

const PATIENCE = { timeoutMs: 30_000, intervalMs: 250 };

describe.skipIf(!HAS_PROMETHEUS)('Prometheus', () => {
  let redis: RedisServer;
  let fleet: Fleet;
  let gateways: NodeProcess[];
  let worker: NodeProcess;
  let accounts: Account[];
  let prometheus: Prometheus;

  const target = ({ adminUrl }: NodeProcess) => adminUrl.replace('http://', '');

  beforeAll(async () => {
    redis = await startRedis({ appendonly: true });
    fleet = new Fleet({ REDIS_URL: redis.url }, redis.client());
    [worker, ...gateways] = await Promise.all([fleet.work(), fleet.serve(), fleet.serve()]);
    accounts = await fleet.seed(3);
    prometheus = await Prometheus.start([worker, ...gateways].map(target), RULES);
  });
  afterAll(async () => {
    await prometheus?.stop();
    await fleet?.stop();
    await redis?.stop();
  });

  it('accepts the alert rules, and finds nothing to say about the names of the metrics', async () => {
    expect(promtool(['check', 'rules', RULES])).toMatchObject({ code: 0 });
    for (const { adminUrl } of [worker, ...gateways]) {
      const text = await (await fetch(`${adminUrl}/metrics`)).text();
      const { output } = promtool(['check', 'metrics'], text);
      expect(output.split('\n').filter((line) => line.startsWith('openchamp_'))).toEqual([]);
    }
  });

  it('scrapes what two gateways count, and what a worker knows of all', async () => {
    const [first, second] = gateways as [NodeProcess, NodeProcess];
    const clients = await Promise.all([first, first, second].map(({ wsUrl }) => connect(wsUrl)));
    for (const [i, client] of clients.entries()) await tokenAuth(client, accounts[i]!.token);
    await logout(clients[0]!);
    clients[2]!.ws.terminate();

    await eventually(async () => {
      expect(await prometheus.query('up')).toEqual({
        [target(worker)]: 1,
        [target(first)]: 1,
        [target(second)]: 1,
      });
      expect(await prometheus.query('openchamp_connections')).toEqual({
        [target(worker)]: 0,
        [target(first)]: 2,
        [target(second)]: 0,
      });
      expect(await prometheus.query('sum by (status) (openchamp_sessions)', 'status')).toEqual({
        attached: 1,
        detached: 1,
      });
      expect(await prometheus.query('sum by (by) (openchamp_logouts_total)', 'by')).toMatchObject({
        client: 1,
      });
      const events = Object.keys(await fleet.log()).length;
      expect(await prometheus.query('sum(openchamp_log_events)')).toEqual({ '': events });
      const waits = 'sum by (type) (openchamp_message_duration_seconds_count{type=~"token_auth|logout"})';
      expect(await prometheus.query(waits, 'type')).toEqual({ token_auth: 3, logout: 1 });
      expect(Object.values(await prometheus.query('openchamp_redis_persistent'))).toEqual([1]);
      expect(await prometheus.alerts()).toEqual([]);
    }, PATIENCE);
  });

  it('raises the alarm when Redis is away, and no more when it is back', async () => {
    await redis.kill('SIGTERM');
    await eventually(async () => {
      expect(await prometheus.alerts()).toEqual(
        expect.arrayContaining(['OpenChampNoWorker', 'OpenChampRedisDown']),
      );
    }, PATIENCE);
    await redis.start();
    await eventually(async () => expect(await prometheus.alerts()).toEqual([]), PATIENCE);
  });
});
