import { readFile } from 'node:fs/promises';
import hdr from 'hdr-histogram-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Result } from '../../src/load/result.js';
import { Fleet } from '../support/fleet.js';
import type { NodeProcess } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { doneIn, LoadTool, recordedDuring } from './harness.js';

let redis: RedisServer;
let fleet: Fleet;
let nodes: NodeProcess[];
let tool: LoadTool;

beforeAll(async () => {
  redis = await startRedis();
  fleet = new Fleet({ REDIS_URL: redis.url, CHAT_RATE: '0', TOKENS_PER_ACCOUNT: '0' }, redis.client());
  nodes = await Promise.all([fleet.serve(), fleet.serve()]);
  tool = await LoadTool.create(fleet, 400, nodes.map(({ wsUrl }) => wsUrl).join(','));
});
afterAll(async () => {
  await fleet.stop();
  await redis.stop();
});

/** Runs a scenario, and sees to it that all sessions that it says to have begun are in the log. */
async function play(scenario: string, options: string) {
  const { done: result, recorded } = await recordedDuring(fleet, () => tool.runWell(scenario, options));
  const begun = recorded('session.started') + recorded('session.resumed');
  expect(begun).toBe(doneIn(result, 'token_auth', 'login', 'resume'));
  expect(result.setup.connected).toBe(Number(/--clients (\d+)/.exec(options)![1]));
  return { result, recorded };
}

/** What all whole seconds have together. */
function overSeconds({ seconds }: Result, operation: string): number {
  return seconds.reduce((sum, { operations }) => sum + (operations[operation]?.count ?? 0), 0);
}

describe('openchamp load', () => {
  it('logout: counts what is in the log, with two workers and a rate', async () => {
    const { result, recorded } = await play('logout', '--clients 10 --workers 2 --rate 151 --duration 2');
    expect(recorded('session.logged_out')).toBe(302);
    expect(doneIn(result, 'cycle')).toBe(302);
    expect(doneIn(result, 'logout')).toBe(302);
    expect(result.seconds.length).toBeGreaterThanOrEqual(1);
    expect(overSeconds(result, 'logout')).toBeLessThanOrEqual(302);
    const { histograms, operations } = result.totals;
    expect(Object.keys(histograms)).toEqual(Object.keys(operations));
    const cycles = hdr.decodeFromCompressedBase64(histograms.cycle!);
    expect(cycles.totalCount).toBe(302);
    expect(cycles.getValueAtPercentile(99)).toBeCloseTo(operations.cycle!.p99 * 1000, 0);
  });

  it('logout: goes as fast as it can without a rate, and says so', async () => {
    const { result, recorded } = await play('logout', '--clients 5 --workers 1 --duration 1');
    expect(doneIn(result, 'logout')).toBeGreaterThan(0);
    expect(recorded('session.logged_out')).toBe(doneIn(result, 'logout'));
    expect(result.generator.late).toBeNull();
  });

  it('login: makes a token for each login', async () => {
    const { result, recorded } = await play('login', '--clients 2 --duration 1');
    expect(doneIn(result, 'login')).toBeGreaterThan(0);
    expect(recorded('token.issued')).toBe(doneIn(result, 'login'));
    expect(recorded('session.logged_out')).toBe(doneIn(result, 'logout'));
  });

  it('reconnect: all come back in each wave', async () => {
    const { result } = await play('reconnect', '--clients 10 --workers 2 --every 0.5 --duration 1.5');
    expect(doneIn(result, 'reconnect')).toBe(30);
    expect(doneIn(result, 'token_auth')).toBe(40);
  });

  it('reconnect: says how late it begins what is due at once itself, the last of it, too', async () => {
    const { result } = await play('reconnect', '--clients 400 --workers 1 --every 3 --duration 1');
    const { late } = result.generator;
    expect(late!.count).toBe(400);
    expect(late!.max - late!.min).toBeGreaterThan(400 * 0.005); // no machine makes a connection in 5 µs
  });

  it('idle: holds sessions', async () => {
    const { result, recorded } = await play(
      'idle',
      '--clients 20 --workers 2 --connect-rate 100 --duration 1',
    );
    expect(doneIn(result, 'token_auth')).toBe(20);
    expect(recorded('session.detached')).toBe(20);
    expect(result.totals.operations).toEqual({});
  });

  it('chat: counts each receipt of each message', async () => {
    const { result } = await play('chat', '--clients 12 --workers 2 --senders 4 --rate 20 --duration 1');
    expect(doneIn(result, 'global_chat')).toBe(20);
    expect(doneIn(result, 'delivery')).toBe(20 * 12);
  });

  it('mixed: whatever players do is in the log', async () => {
    const { result, recorded } = await play('mixed', '--clients 20 --workers 2 --rate 300 --duration 2');
    expect(doneIn(result, 'action')).toBe(600);
    expect(recorded('session.logged_out')).toBe(doneIn(result, 'logout'));
    expect(recorded('session.renamed')).toBe(doneIn(result, 'set_username'));
    expect(recorded('queue.joined')).toBe(doneIn(result, 'join_queue'));
    expect(recorded('queue.left')).toBe(doneIn(result, 'leave_queue'));
    expect(recorded('token.issued')).toBe(doneIn(result, 'login'));
  });

  it('costs less CPU than the servers do', async () => {
    const metrics = nodes.map(({ adminUrl }) => `${adminUrl}/metrics`);
    const costs = async (scenario: string, options: string) => {
      const common = `--workers 1 --duration 3 --metrics ${metrics.join(',')}`;
      const { generator, server } = await tool.runWell(scenario, `${options} ${common}`);
      const used = server.map(({ samples }) => samples.at(-1)!.cpuSeconds - samples[0]!.cpuSeconds);
      return generator.cpuSeconds / used.reduce((sum, seconds) => sum + seconds, 0);
    };
    expect(await costs('logout', '--clients 100 --rate 500')).toBeLessThan(1);
    expect(await costs('chat', '--clients 200 --senders 10 --rate 50')).toBeLessThan(1);
  });

  it('writes a report that needs no network, with what the nodes say of themselves', async () => {
    const metrics = nodes.map(({ adminUrl }) => `${adminUrl}/metrics`);
    const html = tool.file('report.html');
    const result = await tool.runWell(
      'logout',
      `--clients 4 --rate 50 --duration 1 --metrics ${metrics.join(',')} --html ${html}`,
    );
    expect(result.server.map(({ url }) => url)).toEqual(metrics);
    for (const { samples, failures } of result.server) {
      expect(samples.length).toBeGreaterThanOrEqual(2);
      expect(samples.every(({ residentBytes }) => residentBytes > 0)).toBe(true);
      expect(failures).toEqual({});
    }
    const page = await readFile(html, 'utf8');
    expect(page).toContain('Server: CPU');
    expect(page).not.toMatch(/(src|href)=|{{/);
    expect(JSON.stringify(result)).not.toContain('openchamp"');
  });
});
