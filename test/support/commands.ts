import type { Fleet } from './fleet.js';

/** How many commands of each name Redis has handled so far, all its masters together. */
export async function commandsOf({ redis }: Fleet): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const server of 'nodes' in redis ? redis.nodes('master') : [redis]) {
    for (const [, name, calls] of (await server.info('commandstats')).matchAll(
      /^cmdstat_([^:]+):calls=(\d+)/gm,
    )) {
      counts[name!] = (counts[name!] ?? 0) + Number(calls);
    }
  }
  return counts;
}

/** How many commands Redis handles, of each name, while something is done: its own, and the heartbeats of the nodes. */
export async function commandsDuring(
  fleet: Fleet,
  work: () => Promise<void>,
): Promise<Record<string, number>> {
  const before = await commandsOf(fleet);
  await work();
  const after = await commandsOf(fleet);
  return Object.fromEntries(
    Object.entries(after).map(([name, calls]) => [name, calls - (before[name] ?? 0)]),
  );
}
