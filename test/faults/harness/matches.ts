import { expect } from 'vitest';
import type { Fleet } from '../../support/fleet.js';
import { enter, found, join } from '../../support/players.js';
import type { NodeProcess } from '../../support/processes.js';

let matches = 0;

/** Expects that the jobs are being done: two who wait, on two nodes, get a match. */
export async function expectMatch(fleet: Fleet, nodes: readonly NodeProcess[]): Promise<void> {
  matches += 1;
  const accounts = await fleet.seed(2, `matched${matches}_`);
  const [one, two] = await Promise.all(
    accounts.map((account, i) => enter(nodes[i % nodes.length]!, account, false, { isDeaf: true })),
  );
  await join(one!);
  await join(two!);
  const match = await found(one!);
  expect(await found(two!)).toEqual(match);
  await Promise.all([one!.client.close(), two!.client.close()]);
}
