import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeCertificate } from '../support/certificate.js';
import { Fleet } from '../support/fleet.js';
import { runCli } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { doneIn, LoadTool } from './harness.js';

let redis: RedisServer;
let fleet: Fleet;

beforeAll(async () => {
  redis = await startRedis();
  fleet = new Fleet({ REDIS_URL: redis.url, ...makeCertificate().env }, redis.client());
});
afterAll(async () => {
  await fleet.stop();
  await redis.stop();
});

describe('openchamp load', () => {
  it('speaks TLS', async () => {
    const node = await fleet.serve();
    const tool = await LoadTool.create(fleet, 5, node.wsUrl.replace('ws:', 'wss:'));
    const result = await tool.runWell('reconnect', '--clients 5 --every 0.5 --duration 1 --insecure-tls');
    expect(doneIn(result, 'reconnect')).toBe(10);
    const run = tool.start('logout', '--clients 5');
    expect(await run.exited).toMatchObject({ code: 1 });
    expect(run.stderr).toMatch(/^No client could connect: .*SELF_SIGNED_CERT.*\.$/m);
  });

  it.each([
    ['a target elsewhere', 'logout --target ws://192.0.2.1/ws', '--allow-remote allows it'],
    ['no accounts', 'logout --accounts /nowhere/tokens.tsv', 'openchamp seed'],
    ['an unknown scenario', 'sleep', 'Allowed choices are'],
    ['a number that is none', 'logout --clients many', 'whole number'],
    ['a rate for nothing', 'idle --rate 5', '--rate means nothing'],
    ['a URL that is none', 'logout --target 127.0.0.1:8080', 'begins with ws://'],
  ])('refuses %s in one sentence, with exit code 2', async (_, args, sentence) => {
    const { code, stderr, stdout } = await runCli(['load', ...args.split(' ')]);
    expect(stderr).toContain(sentence);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });
});
