import type { IContainer } from 'kubernetes-models/v1';
import { environmentOf, isOurs, isSelected, type Manifest, named, type Pod, podsOf } from '../manifests.js';

export interface Own {
  readonly pod: Pod;
  readonly container: IContainer;
}

/** Containers of this project's image. */
export function ownContainers(manifests: readonly Manifest[]): Own[] {
  return podsOf(manifests).flatMap((pod) =>
    pod.containers.filter(isOurs).map((container) => ({ pod, container })),
  );
}

/** Gateways and workers. */
export function nodes(manifests: readonly Manifest[]): (Own & { readonly role: 'serve' | 'work' })[] {
  return ownContainers(manifests).flatMap((own) => {
    const role = own.container.args?.[0];
    return role === 'serve' || role === 'work' ? { ...own, role } : [];
  });
}

/** Where containers are told to go: Redis, if it has an address, and what the load test plays with. */
export function urls(manifests: readonly Manifest[]): { readonly pod: Pod; readonly url: URL }[] {
  return ownContainers(manifests).flatMap(({ pod, container }) => {
    const { args = [] } = container;
    const { REDIS_URL } = environmentOf(container, manifests);
    const after = (option: string) => (args.includes(option) ? args[args.indexOf(option) + 1] : undefined);
    const texts = [REDIS_URL, after('--target'), after('--metrics')];
    return texts.flatMap((text) => (typeof text === 'string' ? { pod, url: new URL(text) } : []));
  });
}

/** The pods that serve a URL, by the service that it names; null if there is no such service, or not on its port. */
export function servedAt(manifests: readonly Manifest[], { hostname, port }: URL): Pod[] | null {
  const { selector = {}, ports = [] } = named(manifests, 'Service', hostname)?.spec ?? {};
  if (!ports.some((one) => `${one.port}` === port)) return null;
  return podsOf(manifests).filter(({ labels }) => isSelected(labels, { matchLabels: selector }));
}
