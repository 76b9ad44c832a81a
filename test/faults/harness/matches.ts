import { expect } from 'vitest';
import type { Account } from '../../support/fleet.js';
import { enter, found, join } from '../../support/players.js';
import type { NodeProcess } from '../../support/processes.js';

/** Expects that two who wait, on two nodes, get a match. Nobody else must wait. */
export async function expectMatch(
  nodes: readonly NodeProcess[],
  accounts: readonly Account[],
): Promise<void> {
  const [one, two] = await Promise.all(
    accounts.map((account, i) => enter(nodes[i % nodes.length]!, account, false, { isDeaf: true })),
  );
  await join(one!);
  await join(two!);
  const match = await found(one!);
  expect(await found(two!)).toEqual(match);
  await Promise.all([one!.client.close(), two!.client.close()]);
}
