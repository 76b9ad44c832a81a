import type { IContainer } from 'kubernetes-models/v1';
import { read } from '../files.js';
import { isOurs, type Manifest, podsOf } from '../manifests.js';
import { ownContainers } from './own.js';

/** What is taken from Secrets is what the documentation says to put there. */
export function secrets(manifests: readonly Manifest[]): string[] {
  const documented = [
    ...read('docs/kubernetes.md').matchAll(/create secret generic (\S+) --from-literal=(\w+)=/g),
  ].map(([, name, key]) => `${name} ${key}`);
  return podsOf(manifests).flatMap(({ of, containers }) =>
    containers.flatMap(({ env = [] }) =>
      env
        .flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? [])
        .filter(({ name, key }) => !documented.includes(`${name} ${key}`))
        .map(({ name, key }) => `${of}: nobody is told to make ${key} of Secret ${name}`),
    ),
  );
}

/** All of ours are of one image; others are of a version. */
export function images(manifests: readonly Manifest[]): string[] {
  const ours = new Set(ownContainers(manifests).map(({ container }) => container.image));
  const isNamed = (container: IContainer) =>
    isOurs(container) || container.image === 'openchamp-game' || /:(?!latest$)/.test(container.image ?? '');
  const others = podsOf(manifests).flatMap(({ containers }) => containers.filter((one) => !isNamed(one)));
  return [
    ...(ours.size === 1 ? [] : [`${ours.size} images of ours`]),
    ...others.map(({ image }) => `${image} is of no version`),
  ];
}

/** Nobody is root, writes to his image, or may do more than he must. */
export function rights(manifests: readonly Manifest[]): string[] {
  return podsOf(manifests).flatMap(({ of, spec, containers }) => {
    const { runAsNonRoot, runAsUser = 0, seccompProfile } = spec.securityContext ?? {};
    const isPodFine =
      runAsNonRoot &&
      runAsUser > 0 &&
      seccompProfile?.type === 'RuntimeDefault' &&
      spec.automountServiceAccountToken === false &&
      !spec.hostNetwork;
    const isFine = ({ securityContext, resources }: IContainer) =>
      securityContext?.allowPrivilegeEscalation === false &&
      securityContext.readOnlyRootFilesystem === true &&
      securityContext.capabilities?.drop?.includes('ALL') &&
      resources?.limits?.memory !== undefined;
    return [
      ...(isPodFine ? [] : [`${of}: its pods may do too much`]),
      ...containers.filter((one) => !isFine(one)).map(({ name }) => `${of}: ${name} may do too much`),
    ];
  });
}
