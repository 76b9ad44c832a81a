import { expect, it } from 'vitest';
import { Batch } from '../../../src/log/batch.js';
import type { Operation } from '../../../src/log/operation.js';
import { Pending } from '../../../src/log/pending.js';

const NODE = 'n1';
const LIMITS = [10, 60_000, 10, 60_000] as const;

function operation(name: string): Operation {
  return {
    partition: 0,
    checks: [{ key: 'shared', field: name, version: 1, at: 5 }],
    events: [{ type: 'x', subject: name, version: 2, data: {} }],
    writes: [['put', 'shared', name, 2, 'body', 0]],
  };
}

it('is what it would be without those that are taken back', async () => {
  const [batch, expected] = [new Batch(NODE), new Batch(NODE)];
  const results: Promise<unknown>[] = [];
  for (const [i, timeoutMs] of LIMITS.entries()) {
    const name = `operation ${i}`;
    results.push(
      new Promise((resolve, reject) => {
        const pending = new Pending(resolve, reject, { timeoutMs, late: () => {} });
        batch.add(operation(name), pending);
        if (timeoutMs > 10) expected.add(operation(name), pending);
      }).then(
        () => 'done',
        () => 'given up',
      ),
    );
  }
  batch.takeBack(performance.now() + 1000);
  expect(batch.size).toBe(2);
  expect(batch.pack()).toEqual(expected.pack());
  batch.settle([
    { committed: true, at: 1 },
    { committed: true, at: 1 },
  ]);
  expect(await Promise.all(results)).toEqual(['given up', 'done', 'given up', 'done']);
});
