import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import { Fleet } from '../support/fleet.js';
import { onFreePorts } from '../support/ports.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { doneIn, LoadTool, recordedDuring } from './harness.js';

let redis: RedisServer;
const fleets: Fleet[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  for (const fleet of fleets) await fleet.stop();
  await redis.stop();
});

function newFleet(env = {}): Fleet {
  const fleet = new Fleet({ REDIS_URL: redis.url, ...env }, redis.client());
  fleets.push(fleet);
  return fleet;
}

/** How many connections were cut, with whatever the system says of it. */
function cutConnections(errors: Readonly<Record<string, number>>): number {
  const cuts = Object.entries(errors).filter(([problem]) =>
    problem.startsWith('connection closed with 1006'),
  );
  return cuts.reduce((sum, [, times]) => sum + times, 0);
}

describe('openchamp load', () => {
  it('counts latencies from when operations were due: a pause of the server shows', async () => {
    const fleet = newFleet({ LEASE_SECONDS: '10' });
    const node = await fleet.serve();
    const tool = await LoadTool.create(fleet, 5, node.wsUrl);
    let pausedMs = 0;
    const { done: result, recorded } = await recordedDuring(fleet, async () => {
      const run = tool.start(
        'logout',
        `--clients 5 --rate 100 --duration 2.5 --metrics ${node.adminUrl}/metrics`,
      );
      await eventually(() => run.stderr.includes(' 1 s '));
      process.kill(node.pid, 'SIGSTOP');
      const pausedAt = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 1000));
      pausedMs = performance.now() - pausedAt;
      process.kill(node.pid, 'SIGCONT');
      const { code, result } = await tool.outcome(run);
      expect(code).toBe(0);
      return result;
    });
    expect(recorded('session.logged_out')).toBe(250);
    expect(doneIn(result, 'logout')).toBe(250);
    // Five clients can have sent five messages only, yet a hundred were due while the server paused.
    const { cycle, logout } = result.totals.operations;
    expect(cycle!.p99).toBeGreaterThan(0.8 * pausedMs);
    expect(cycle!.p90).toBeGreaterThan(0.5 * pausedMs);
    expect(logout!.p90).toBeLessThan(cycle!.p90);
    const { p99, ceiling } = result.server[0]!.eventLoopDelay!;
    expect(p99).toBeGreaterThan(0.5 * pausedMs);
    expect(ceiling ?? Infinity).toBeGreaterThan(0.9 * pausedMs);
  });

  it('counts what goes wrong when the server dies, and goes on when it is back', async () => {
    const fleet = newFleet();
    const node = await onFreePorts(1, ([port]) => fleet.serve({ PORT: `${port}` }));
    const tool = await LoadTool.create(fleet, 10, node.wsUrl);
    const run = tool.start('logout', '--clients 10 --rate 100 --duration 2');
    await eventually(() => run.stderr.includes(' 1 s '));
    node.kill('SIGKILL');
    await node.exited;
    await fleet.serve({ PORT: `${node.port}` });
    const { code, result, stdout } = await tool.outcome(run);
    expect(code).toBe(1);
    const { errors, operations } = result.totals;
    const lost = cutConnections(errors);
    expect(lost).toBeGreaterThan(0);
    expect(errors['connect: ECONNREFUSED']).toBeGreaterThan(0);
    expect(stdout).toContain('× connection closed with 1006');
    // What was due is done or has failed.
    expect(operations.cycle!.count).toBeGreaterThanOrEqual(200 - lost);
    expect(operations.cycle!.count).toBeLessThanOrEqual(200);
  });

  it('counts what could not even be begun', async () => {
    const fleet = newFleet();
    const node = await fleet.serve();
    const tool = await LoadTool.create(fleet, 2, node.wsUrl);
    const run = tool.start('logout', '--clients 2 --rate 100 --duration 1.5 --timeout 0.5');
    await eventually(() => run.stderr.includes(' 1 s '));
    node.kill('SIGKILL');
    const { code, result } = await tool.outcome(run);
    expect(code).toBe(1);
    const notBegun = result.totals.errors['not begun: no client was free for it in time']!;
    expect(doneIn(result, 'cycle') + notBegun).toBeLessThanOrEqual(150);
    expect(doneIn(result, 'cycle') + notBegun + cutConnections(result.totals.errors)).toBeGreaterThanOrEqual(
      150,
    );
  });

  it('turns to another node when one dies: who asks at once and who comes later have their old session', async () => {
    const fleet = newFleet({ LEASE_SECONDS: '1' });
    const [lost, left] = await Promise.all([fleet.serve(), fleet.serve()]);
    const targets = `${lost.wsUrl},${left.wsUrl}`;
    const tools = [await LoadTool.create(fleet, 8, targets), await LoadTool.create(fleet, 8, targets)];
    const { done: results, recorded } = await recordedDuring(fleet, async () => {
      const runs = ['', ' --away 2'].map((away, i) =>
        tools[i]!.start('idle', `--clients 8 --workers 2 --duration 300 --allow-errors${away}`),
      );
      await eventually(() => runs.every(({ stderr }) => stderr.includes('8 clients connected in')));
      lost.kill('SIGKILL');
      const returns = (stderr: string) =>
        [...stderr.matchAll(/(\d+) return\/s/g)].map(([, count]) => Number(count));
      const areBack = (stderr: string) => returns(stderr).reduce((sum, count) => sum + count, 0) === 4;
      await eventually(() => runs.every(({ stderr }) => areBack(stderr)), { timeoutMs: 30_000 });
      for (const run of runs) run.kill('SIGINT');
      return Promise.all(runs.map((run, i) => tools[i]!.outcome(run)));
    });
    for (const { code, result } of results) {
      expect(code).toBe(0);
      expect(doneIn(result, 'return')).toBe(4);
      expect(cutConnections(result.totals.errors)).toBe(4);
    }
    expect(results[1]!.result.totals.operations.return!.min).toBeGreaterThan(2000);
    expect(recorded('session.started')).toBe(16);
    expect(recorded('session.resumed')).toBe(8);
  });

  it('ends when it is told to, also while its clients connect', async () => {
    const node = await newFleet().serve();
    const tool = await LoadTool.create(fleets.at(-1)!, 20, node.wsUrl);
    const run = tool.start('idle', '--clients 20 --connect-rate 5 --duration 300');
    await eventually(() => run.stderr.includes('of 20 clients connected'));
    run.kill('SIGINT');
    const { code, result } = await tool.outcome(run);
    expect(code).toBe(0);
    expect(result.setup.connected).toBeGreaterThan(0);
    expect(result.setup.connected).toBeLessThan(20);
  });

  it('expects nobody to get a message that was refused', async () => {
    const fleet = newFleet({ CHAT_RATE: '1' }); // ten in ten seconds
    const node = await fleet.serve();
    const tool = await LoadTool.create(fleet, 4, node.wsUrl);
    const { result } = await tool.run('chat', '--clients 4 --senders 1 --rate 30 --duration 1');
    expect(result.totals.errors).toEqual({ 'global_chat: error RATE_LIMITED': 20 });
    expect(doneIn(result, 'delivery')).toBe(10 * 4);
  });

  it('counts answers by what they say, and exits with 0 if that is wanted', async () => {
    const fleet = newFleet({ MESSAGE_RATE: '1', MESSAGE_BURST: '4' });
    const node = await fleet.serve();
    const tool = await LoadTool.create(fleet, 1, node.wsUrl);
    const options = '--clients 1 --rate 8 --duration 1';
    const { code, result } = await tool.run('logout', options);
    expect(code).toBe(1);
    expect(result.totals.errors['token_auth: error RATE_LIMITED']).toBeGreaterThan(0);
    expect((await tool.run('logout', `${options} --allow-errors`)).code).toBe(0);
  });
});
