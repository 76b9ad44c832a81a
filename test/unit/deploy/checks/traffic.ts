import { isOurs, type Manifest, podsOf } from '../manifests.js';
import { mayReach, type Peer, portNumber } from '../network.js';
import { nodes, servedAt, urls } from './own.js';

/** The namespace of Prometheus, and that of the DNS. */
const MONITORING = 'monitoring';
const DNS = 'kube-system';

/** Everybody reaches whom he must, through the network policies, and nobody else does what is for operators. */
export function network(manifests: readonly Manifest[]): string[] {
  const pods = podsOf(manifests);
  const problems: string[] = [];
  const expect = (
    wanted: boolean,
    who: string,
    from: Peer,
    to: Peer,
    port: number,
    protocol: 'TCP' | 'UDP' = 'TCP',
  ) => {
    if (mayReach(manifests, from, to, { port, protocol }) !== wanted) {
      problems.push(
        `${who} ${wanted ? 'does not reach' : 'reaches'} ${'pod' in to ? to.pod.of : 'the DNS'} on ${port}`,
      );
    }
  };
  const anybody: Peer = { anybody: true };
  for (const { pod, role } of nodes(manifests)) {
    const admin = portNumber(pod, 'admin') ?? 0;
    expect(true, 'Prometheus', { namespace: MONITORING }, { pod }, admin);
    expect(false, 'anybody', anybody, { pod }, admin);
    if (role === 'serve') expect(true, 'a player', anybody, { pod }, portNumber(pod, 'ws') ?? 0);
  }
  for (const pod of pods.filter(({ containers }) => containers.some(isOurs))) {
    for (const protocol of ['TCP', 'UDP'] as const)
      expect(true, pod.of, { pod }, { namespace: DNS }, 53, protocol);
    expect(false, pod.of, { pod }, anybody, 443);
  }
  for (const { pod, url } of urls(manifests)) {
    for (const to of servedAt(manifests, url) ?? [])
      expect(true, pod.of, { pod }, { pod: to }, Number(url.port));
  }
  for (const pod of pods.filter(({ labels }) => labels['app.kubernetes.io/component'] === 'redis')) {
    const port = portNumber(pod, 'redis') ?? 0;
    expect(false, 'anybody', anybody, { pod }, port);
    expect(false, 'Prometheus', { namespace: MONITORING }, { pod }, port);
    expect(false, pod.of, { pod }, anybody, 443);
  }
  return problems;
}

/** Where there are game servers, players reach each of their ports, and are told a machine that has it. */
export function gameServers(manifests: readonly Manifest[]): string[] {
  return nodes(manifests).flatMap(({ pod, container }) => {
    const onMachine = (container.ports ?? []).filter(({ hostPort }) => hostPort !== undefined);
    const own = Object.fromEntries((container.env ?? []).map((variable) => [variable.name, variable]));
    if (!own.GAME_COMMAND) return onMachine.length === 0 ? [] : [`${pod.of}: it takes ports of its machine`];
    const problems: string[] = [];
    const [from = 0, to = -1] = (own.GAME_PORTS?.value ?? '').split('-').map(Number);
    for (let port = from; port <= to; port += 1) {
      for (const protocol of ['TCP', 'UDP'] as const) {
        const isThere = onMachine.some(
          (one) =>
            one.containerPort === port && one.hostPort === port && (one.protocol ?? 'TCP') === protocol,
        );
        const isOpen = mayReach(manifests, { anybody: true }, { pod }, { port, protocol });
        if (!isThere || !isOpen) problems.push(`${pod.of}: players do not reach ${port}/${protocol}`);
      }
    }
    if (onMachine.length !== 2 * (to - from + 1))
      problems.push(`${pod.of}: it takes more ports than GAME_PORTS`);
    if (own.GAME_HOST?.valueFrom?.fieldRef?.fieldPath !== 'status.hostIP')
      problems.push(`${pod.of}: where is its machine?`);
    return problems;
  });
}
