import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Haproxy } from '../../../src/supervisor/haproxy.js';
import { eventually } from '../../support/eventually.js';
import { tempDir } from '../../support/guardian.js';
import { HAS_HAPROXY } from '../../support/localCluster.js';
import { onFreePorts } from '../../support/ports.js';
import { ROOT, read } from './files.js';

const CFG = `${ROOT}haproxy/haproxy.cfg`;

describe.skipIf(!HAS_HAPROXY)('haproxy.cfg', () => {
  it('is accepted with gateways found by their name, as compose uses it', () => {
    expect(check({ GATEWAY_NAME: 'gateway' })).toEqual({ status: 0, problems: [] });
  });

  it('is accepted with a list of gateways, as the cluster on one machine uses it, and not without', () => {
    const list = join(tempDir(), 'gateways.cfg');
    writeFileSync(list, 'backend gateways\n  server gateway-1 127.0.0.1:9001 port 9002\n');
    const env = { PROXY_HOST: '::', PROXY_PORT: '9000', PROXY_OPERATORS: '127.0.0.1:9003' };
    expect(check(env, list)).toEqual({ status: 0, problems: [] });
    expect(check(env).status).toBe(1);
  });

  it('gives no new connections to a gateway that lives and is not ready', async () => {
    const [well, unwell] = [await standIn('well', 200), await standIn('unwell', 503)];
    const environment = { PATH: process.env.PATH ?? '' };
    await onFreePorts(2, async ([port = 0, adminPort = 0]) => {
      const gateways = [well, unwell];
      const at = { host: '127.0.0.1', port, adminPort, gateways, dir: tempDir(), environment };
      const haproxy = new Haproxy(at);
      const running = await haproxy.launch(AbortSignal.timeout(10_000));
      onTestFinished(() => void running.stop());
      const ready = async () => (await fetch(`${haproxy.operatorsUrl}/gateways`)).text();
      await eventually(async () => (await ready()) === '1', { message: 'one gateway is ready' });
      const ask = () => fetch(`http://127.0.0.1:${port}/`).then((response) => response.text());
      const answers = await Promise.all(Array.from({ length: 20 }, ask));
      expect(new Set(answers)).toEqual(new Set(['well']));
      expect(await haproxy.servesAll(0)).toBe(false);
    });
  });

  it('says which variables it takes, all of them', () => {
    const used = [...read('haproxy/haproxy.cfg').matchAll(/\$\{(\w+)/g)].map(([, name]) => name!);
    const head = read('haproxy/haproxy.cfg').split('\n\n')[0]!;
    expect(used.filter((name) => !head.includes(name))).toEqual([]);
  });
});

/** Something that stands for a gateway: says its name, lives, and is ready or not. */
async function standIn(name: string, readyz: number) {
  const server = createServer((request, response) => {
    response.writeHead(request.url === '/readyz' ? readyz : 200).end(name);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { name, port, adminPort: port };
}

function check(env: Record<string, string>, ...more: string[]) {
  const files = [CFG, ...more].flatMap((file) => ['-f', file]);
  const { PATH = '' } = process.env;
  const { status, stderr } = spawnSync('haproxy', ['-c', ...files], {
    env: { PATH, ...env },
    encoding: 'utf8',
  });
  return {
    status,
    problems: stderr.split('\n').filter((line) => /ALERT|WARNING/.test(line) && status === 0),
  };
}
