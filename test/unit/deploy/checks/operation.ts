import { environmentOf, isSelected, type Manifest, named, ofKind, podsOf, titleOf } from '../manifests.js';
import { portNumber } from '../network.js';
import { nodes } from './own.js';

export function monitoring(manifests: readonly Manifest[]): string[] {
  const ofPods = nodes(manifests)
    .filter(
      ({ pod }) =>
        pod.annotations['prometheus.io/scrape'] !== 'true' ||
        pod.annotations['prometheus.io/port'] !== String(portNumber(pod, 'admin')),
    )
    .map(({ pod }) => `${pod.of}: Prometheus is told another port than admin`);
  const ofMonitors = ofKind(manifests, 'PodMonitor').flatMap((monitor) => {
    const { selector, podMetricsEndpoints = [], podTargetLabels = [] } = monitor.spec;
    const left = nodes(manifests).filter(({ pod }) => !isSelected(pod.labels, selector));
    const found = podsOf(manifests).filter(({ labels }) => isSelected(labels, selector));
    return [
      ...left.map(({ pod }) => `${titleOf(monitor)}: it leaves out ${pod.of}`),
      ...found.flatMap((pod) =>
        podMetricsEndpoints
          .filter(
            ({ port, path }) =>
              port !== 'admin' || portNumber(pod, port) === undefined || path !== '/metrics',
          )
          .map(({ port, path }) => `${titleOf(monitor)}: there is no ${path} on port ${port} of ${pod.of}`),
      ),
      ...podTargetLabels
        .filter((label) => found.some(({ labels }) => labels[label] === undefined))
        .map((label) => `${titleOf(monitor)}: not every pod has the label ${label}`),
    ];
  });
  return [...ofPods, ...ofMonitors];
}

export function autoscaling(manifests: readonly Manifest[]): string[] {
  const scalers = [...ofKind(manifests, 'HorizontalPodAutoscaler'), ...ofKind(manifests, 'ScaledObject')];
  const ofTargets = scalers.flatMap((scaler) => {
    const { apiVersion, kind = 'Deployment', name } = scaler.spec?.scaleTargetRef ?? {};
    const target = ofKind(manifests, 'Deployment').find((one) => one.metadata?.name === name);
    if (!target || kind !== target.kind || apiVersion !== target.apiVersion) {
      return [`${titleOf(scaler)}: there is no ${kind} ${name} of ${apiVersion}`];
    }
    const problems = [];
    if (target.spec?.replicas !== undefined)
      problems.push(`${titleOf(scaler)}: ${titleOf(target)} has a number of its own`);
    if (named(manifests, 'PodDisruptionBudget', name) && least(scaler) < 2)
      problems.push(`${titleOf(scaler)}: one is too few`);
    return problems;
  });
  const ofNamespaces = ofKind(manifests, 'ScaledObject').flatMap(({ metadata, spec }) =>
    spec.triggers.flatMap(({ metadata: { query, ignoreNullValues } }) => {
      const namespace = /namespace="([^"]*)"/.exec(query ?? '')?.[1];
      return [
        ...(metadata?.namespace && namespace !== metadata.namespace
          ? [`ScaledObject: it asks about ${namespace}`]
          : []),
        ...(ignoreNullValues === 'false' ? [] : ['ScaledObject: no answer is taken for zero']),
      ];
    }),
  );
  return [...ofTargets, ...ofNamespaces];
}

function least(scaler: Manifest): number {
  if (scaler.kind === 'ScaledObject') return scaler.spec.minReplicaCount ?? 0;
  return scaler.kind === 'HorizontalPodAutoscaler' ? (scaler.spec?.minReplicas ?? 1) : 0;
}

/** Where Redis is told to be, and what is needed of it. */
export function redis(manifests: readonly Manifest[]): string[] {
  const told = nodes(manifests).flatMap(({ pod, container }) => {
    const { REDIS_URL, REDIS_CLUSTER, REDIS_SENTINELS } = environmentOf(container, manifests);
    return [REDIS_URL, REDIS_CLUSTER, REDIS_SENTINELS].some((value) => value)
      ? []
      : [`${pod.of}: where is Redis?`];
  });
  const served = ofKind(manifests, 'StatefulSet').flatMap((set) =>
    (set.spec?.template.spec?.containers ?? []).flatMap(({ args = [], resources }) => {
      const command = args.join(' ');
      const problems = ['--appendonly yes', '--maxmemory-policy noeviction', '--hash-max-listpack-value 256']
        .filter((option) => !command.includes(option))
        .map((option) => `${titleOf(set)}: ${option} is missing`);
      const share = bytes(/--maxmemory (\w+)/.exec(command)?.[1]) / bytes(resources?.limits?.memory);
      if (!(share > 0.5 && share < 0.7))
        problems.push(`${titleOf(set)}: maxmemory is ${share} of its memory`);
      return problems;
    }),
  );
  return [...told, ...served];
}

/** Of Redis' or Kubernetes' units; NaN if it isn't given. */
function bytes(text: string | number | undefined): number {
  const [, number, unit = ''] = /^(\d+)(\w*)$/.exec(String(text)) ?? [];
  const power = ['', 'k', 'm', 'g'].indexOf(unit.toLowerCase().replace(/(i|b|ib)$/, ''));
  return power < 0 ? Number.NaN : Number(number) * 1024 ** power;
}
