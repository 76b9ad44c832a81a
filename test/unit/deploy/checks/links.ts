import {
  askedOf,
  isSelected,
  type Manifest,
  named,
  ofKind,
  type Pod,
  podsOf,
  type Selector,
  titleOf,
} from '../manifests.js';
import { portNumber } from '../network.js';
import { servedAt, urls } from './own.js';

/** The one label of a pod that may be asked for although no pod has it: of a component that is not there. */
const COMPONENT = 'app.kubernetes.io/component';

export function services(manifests: readonly Manifest[]): string[] {
  const ofServices = ofKind(manifests, 'Service').flatMap((service) => {
    const pods = podsOf(manifests).filter(({ labels }) =>
      isSelected(labels, { matchLabels: service.spec?.selector ?? {} }),
    );
    if (pods.length === 0) return [`${titleOf(service)}: it selects no pod`];
    return pods.flatMap((pod) =>
      (service.spec?.ports ?? [])
        .filter(({ port, targetPort }) => portNumber(pod, targetPort ?? port) !== port)
        .map(
          ({ port, targetPort }) =>
            `${titleOf(service)}: ${pod.of} has not ${port} as its port ${targetPort}`,
        ),
    );
  });
  const ofIngresses = ofKind(manifests, 'Ingress').flatMap((ingress) =>
    (ingress.spec?.rules ?? []).flatMap(({ http }) =>
      (http?.paths ?? []).flatMap(({ backend: { service } }) => {
        const ports = named(manifests, 'Service', service?.name)?.spec?.ports ?? [];
        return ports.some(({ name }) => name === service?.port?.name)
          ? []
          : [`${titleOf(ingress)}: no such service`];
      }),
    ),
  );
  const ofUrls = urls(manifests).flatMap(({ pod, url }) =>
    servedAt(manifests, url) ? [] : [`${pod.of}: nobody serves ${url.href}`],
  );
  return [...ofServices, ...ofIngresses, ...ofUrls];
}

/** Whoever selects pods finds some, by each label that is asked for. */
export function selectors(manifests: readonly Manifest[]): string[] {
  const pods = podsOf(manifests);
  const asking: (readonly [title: string, selector: Selector | undefined])[] = [
    ...ofKind(manifests, 'PodDisruptionBudget').map((one) => [titleOf(one), one.spec?.selector] as const),
    ...ofKind(manifests, 'PodMonitor').map((one) => [titleOf(one), one.spec.selector] as const),
    ...ofKind(manifests, 'NetworkPolicy').flatMap((one) =>
      [
        one.spec?.podSelector,
        ...(one.spec?.ingress ?? []).flatMap(({ from = [] }) => from.map(({ podSelector }) => podSelector)),
        ...(one.spec?.egress ?? []).flatMap(({ to = [] }) => to.map(({ podSelector }) => podSelector)),
      ].map((selector) => [titleOf(one), selector] as const),
    ),
  ];
  const ofOthers = asking.flatMap(([title, selector]) =>
    selector === undefined ? [] : selectorProblems(title, selector, pods),
  );
  const ofOwn = [...ofKind(manifests, 'Deployment'), ...ofKind(manifests, 'StatefulSet')].flatMap((one) => {
    const pod = pods.find(({ of }) => of === titleOf(one));
    const spread = pod?.spec.topologySpreadConstraints ?? [];
    const own = [one.spec?.selector, ...spread.map(({ labelSelector }) => labelSelector)];
    return own.every((selector) => selector && pod && isSelected(pod.labels, selector))
      ? []
      : [`${titleOf(one)}: a selector does not find its own pods`];
  });
  return [...ofOthers, ...ofOwn];
}

function selectorProblems(title: string, selector: Selector, pods: readonly Pod[]): string[] {
  const found = pods.filter(({ labels }) => isSelected(labels, selector));
  // Redis may be elsewhere
  const isOptional = (key: string, value: string) => key === COMPONENT && value === 'redis';
  const unknown = askedOf(selector).filter(
    ([key, value]) => !isOptional(key, value) && !pods.some(({ labels }) => labels[key] === value),
  );
  return [
    ...(found.length === 0 ? [`${title}: it selects no pod`] : []),
    ...unknown.map(([key, value]) => `${title}: no pod has ${key}=${value}`),
  ];
}

export function references(manifests: readonly Manifest[]): string[] {
  return podsOf(manifests).flatMap((pod) => {
    const { spec, containers } = pod;
    const maps = containers.flatMap(({ envFrom = [] }) =>
      envFrom.map(({ configMapRef }) => configMapRef?.name),
    );
    const set = ofKind(manifests, 'StatefulSet').find((one) => titleOf(one) === pod.of);
    const claims = set?.spec?.volumeClaimTemplates ?? [];
    const volumes = [
      ...(spec.volumes ?? []).map(({ name }) => name),
      ...claims.map(({ metadata }) => metadata?.name),
    ];
    const mounts = containers.flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name));
    const missing = [
      ...maps.filter((name) => !named(manifests, 'ConfigMap', name)).map((name) => `ConfigMap ${name}`),
      ...mounts.filter((name) => !volumes.includes(name)).map((name) => `volume ${name}`),
      ...[spec.serviceAccountName]
        .filter((name) => !named(manifests, 'ServiceAccount', name))
        .map((name) => `ServiceAccount ${name}`),
      ...[set?.spec?.serviceName]
        .filter((name) => set && !named(manifests, 'Service', name))
        .map((name) => `Service ${name}`),
    ];
    return missing.map((what) => `${pod.of}: there is no ${what}`);
  });
}
