import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tempDir } from '../../support/guardian.js';
import { HAS_HAPROXY } from '../../support/localCluster.js';
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

  it('says which variables it takes, all of them', () => {
    const used = [...read('haproxy/haproxy.cfg').matchAll(/\$\{(\w+)/g)].map(([, name]) => name!);
    const head = read('haproxy/haproxy.cfg').split('\n\n')[0]!;
    expect(used.filter((name) => !head.includes(name))).toEqual([]);
  });
});

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
