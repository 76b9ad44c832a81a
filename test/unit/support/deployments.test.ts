import { expect, test } from 'vitest';
import { startCluster } from '../../support/cluster.js';
import { eventually } from '../../support/eventually.js';
import { startSentinel } from '../../support/sentinel.js';

test('a cluster comes up and takes keys of every slot', { timeout: 60_000 }, async () => {
  const cluster = await startCluster(3, 1);
  try {
    expect(cluster.addresses.split(',')).toHaveLength(4);
    const client = cluster.client();
    for (let i = 0; i < 50; i += 1) await client.set(`{${i}}:key`, String(i));
    for (let i = 0; i < 50; i += 1) expect(await client.get(`{${i}}:key`)).toBe(String(i));
    const replica = cluster.replicas[0]!.client();
    expect(await replica.info('replication')).toContain(`master_port:${cluster.masters[0]!.port}`);
  } finally {
    await cluster.stop();
  }
});

test('Sentinels fail over to the replica when the master dies', { timeout: 60_000 }, async () => {
  const deployment = await startSentinel();
  try {
    const client = deployment.client();
    await client.set('key', 'value');
    expect(await client.wait(1, 5000)).toBe(1);
    expect(await deployment.currentMaster()).toBe(deployment.master);
    await deployment.master.kill('SIGKILL');
    const isOver = async () => (await deployment.currentMaster()) === deployment.replica;
    await eventually(isOver, { timeoutMs: 30_000, message: 'the replica is the master' });
    expect(await client.get('key')).toBe('value');
  } finally {
    await deployment.stop();
  }
});
