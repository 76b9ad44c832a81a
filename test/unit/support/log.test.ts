import { expect, test } from 'vitest';
import { countByType, readLog } from '../../support/log.js';
import { uniquePrefix } from '../../support/prefix.js';
import { startRedis } from '../../support/redis.js';

test('reads the log of all partitions in order, over several pages', async () => {
  const server = await startRedis();
  try {
    const redis = server.client();
    const prefix = uniquePrefix();
    const add = (partition: number, type: string, version: number) =>
      redis.xadd(`${prefix}{${partition}}:log`, '*', 'e', `${type} s1 ${version} n1 {"a":1}`);
    await add(0, 'session.started', 1);
    await add(1, 'session.renamed@2', 2);
    await Promise.all(Array.from({ length: 2500 }, (_, i) => add(1, 'token.issued', i)));

    const log = await readLog(redis, { prefix, partitions: 2 });
    expect(log[1]).toEqual({
      id: expect.stringMatching(/^\d+-\d+$/),
      partition: 1,
      type: 'session.renamed',
      dataVersion: 2,
      subject: 's1',
      version: 2,
      node: 'n1',
      data: { a: 1 },
    });
    expect(log.slice(2).map(({ version }) => version)).toEqual(Array.from({ length: 2500 }, (_, i) => i));
    expect(countByType(log)).toEqual({ 'session.started': 1, 'session.renamed': 1, 'token.issued': 2500 });
  } finally {
    await server.stop();
  }
});
