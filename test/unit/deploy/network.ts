import type { INetworkPolicy, INetworkPolicyPort } from 'kubernetes-models/networking.k8s.io/v1';
import { isSelected, type Labels, type Manifest, ofKind, type Pod } from './manifests.js';

/** Who wants to reach, or is reached: a pod of these manifests, any pod of a namespace, or anybody at all. */
export type Peer = { readonly pod: Pod } | { readonly namespace: string } | { readonly anybody: true };

/** A port of a pod, by its number. */
export interface Port {
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP';
}

/** Whether the network policies let somebody reach a port of somebody; those who are not pods of ours may do all that they can. */
export function mayReach(manifests: readonly Manifest[], from: Peer, to: Peer, port: Port): boolean {
  const policies = ofKind(manifests, 'NetworkPolicy');
  return allows(policies, 'Egress', from, to, port, to) && allows(policies, 'Ingress', to, from, port, to);
}

type Direction = 'Ingress' | 'Egress';

/** Whether one side may: `self` is the pod that the policies are for, `other` whom it deals with. */
function allows(
  policies: readonly INetworkPolicy[],
  direction: Direction,
  self: Peer,
  other: Peer,
  port: Port,
  server: Peer,
): boolean {
  if (!('pod' in self)) return true;
  const concerned = policies.filter(
    ({ spec }) =>
      spec?.policyTypes?.includes(direction) && isSelected(self.pod.labels, spec.podSelector ?? {}),
  );
  const rules = concerned.flatMap(({ spec }) =>
    direction === 'Ingress'
      ? (spec?.ingress ?? []).map(({ from, ports }) => ({ peers: from, ports }))
      : (spec?.egress ?? []).map(({ to, ports }) => ({ peers: to, ports })),
  );
  return (
    concerned.length === 0 ||
    rules.some(
      ({ peers, ports }) =>
        (!peers || peers.some((peer) => isMeant(peer, other))) &&
        (!ports || ports.some((one) => isPort(one, port, server))),
    )
  );
}

interface PolicyPeer {
  readonly podSelector?: object;
  readonly namespaceSelector?: { readonly matchLabels?: Labels };
}

function isMeant({ podSelector, namespaceSelector }: PolicyPeer, other: Peer): boolean {
  if ('pod' in other) return !namespaceSelector && !!podSelector && isSelected(other.pod.labels, podSelector);
  if (!('namespace' in other) || !namespaceSelector || podSelector) return false;
  return isSelected({ 'kubernetes.io/metadata.name': other.namespace }, namespaceSelector);
}

function isPort(policy: INetworkPolicyPort, { port, protocol }: Port, server: Peer): boolean {
  const { port: asked, endPort } = policy;
  if ((policy.protocol ?? 'TCP') !== protocol) return false;
  if (asked === undefined) return true;
  const first = typeof asked === 'number' || !('pod' in server) ? asked : portNumber(server.pod, asked);
  return typeof first === 'number' && port >= first && port <= (endPort ?? first);
}

/** The number of a port of a pod by its name or number; undefined if it has none such. */
export function portNumber(pod: Pod, port: string | number | undefined): number | undefined {
  const ports = pod.containers.flatMap(({ ports = [] }) => ports);
  return ports.find(({ name, containerPort }) => name === port || containerPort === port)?.containerPort;
}
