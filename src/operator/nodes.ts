import type { NodeReport } from '../cluster/lease.js';
import type { Deployment } from '../deployment.js';
import { reading } from '../redis/unavailable.js';

/** A gateway node; `report`: what it said of itself with its last lease, null if that has run out. */
export interface KnownNode {
  readonly node: string;
  readonly report: NodeReport | null;
}

/** The gateway nodes that live, and those that were lost in the last hour, by their names. @throws Unavailable */
export async function listNodes({ redis, keys }: Deployment): Promise<KnownNode[]> {
  const nodes = (await reading(redis.raw.zrange(keys.gateways(), '0', '-1'))).sort();
  if (nodes.length === 0) return [];
  const leases = await reading(redis.raw.mget(...nodes.map((node) => keys.lease(node))));
  return nodes.map((node, i) => ({ node, report: reportFrom(leases[i]) }));
}

/** A node of an earlier release has a lease without a report. */
function reportFrom(lease: string | null | undefined): NodeReport | null {
  if (!lease) return null;
  const report: unknown = JSON.parse(lease);
  return typeof report === 'object' && report !== null
    ? (report as NodeReport)
    : { connections: 0, sessions: 0, draining: false, startedAt: 0 };
}
