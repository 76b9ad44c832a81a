import { commands, gracePeriods, ports, probes, settings } from './checks/containers.js';
import { references, selectors, services } from './checks/links.js';
import { autoscaling, monitoring, redis } from './checks/operation.js';
import { images, rights, secrets } from './checks/safety.js';
import { gameServers, network } from './checks/traffic.js';
import type { Manifest } from './manifests.js';
import { schemaProblems } from './schemas.js';

/** What is wrong with the manifests of a deployment, in sentences. */
type Check = (manifests: readonly Manifest[]) => string[];

/** What holds together in a deployment, by what it is about. */
export const CHECKS = {
  schema: (manifests) => manifests.flatMap(schemaProblems),
  settings,
  commands,
  ports,
  probes,
  services,
  selectors,
  references,
  network,
  monitoring,
  autoscaling,
  redis,
  'grace periods': gracePeriods,
  secrets,
  images,
  rights,
  'game servers': gameServers,
} satisfies Record<string, Check>;

export type CheckName = keyof typeof CHECKS;

/** The checks that fail, with what is wrong. */
export function problemsOf(manifests: readonly Manifest[]): Partial<Record<CheckName, string[]>> {
  const found = Object.entries(CHECKS).map(([name, check]) => [name, check(manifests)] as const);
  return Object.fromEntries(found.filter(([, problems]) => problems.length > 0));
}
