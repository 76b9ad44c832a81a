import { execFileSync, spawnSync } from 'node:child_process';
import { realpathSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { IScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1';
import type {
  IPodMonitor,
  IPrometheusRule,
} from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
import type { IDeployment, IStatefulSet } from 'kubernetes-models/apps/v1';
import type { IHorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2';
import type { IJob } from 'kubernetes-models/batch/v1';
import type { IIngress, INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import type { IPodDisruptionBudget } from 'kubernetes-models/policy/v1';
import type {
  IConfigMap,
  IContainer,
  INamespace,
  IPodSpec,
  IService,
  IServiceAccount,
} from 'kubernetes-models/v1';
import { parse, parseAllDocuments } from 'yaml';
import { tempDir } from '../../support/guardian.js';
import { ROOT, read } from './files.js';

const K8S = join(ROOT, 'k8s');

/** The minor version of the oldest kubectl that builds the manifests; Debian 12's own (20) can't read components. */
const OLDEST_KUBECTL = 22;

interface Kinds {
  readonly ConfigMap: IConfigMap;
  readonly Deployment: IDeployment;
  readonly HorizontalPodAutoscaler: IHorizontalPodAutoscaler;
  readonly Ingress: IIngress;
  readonly Job: IJob;
  readonly Namespace: INamespace;
  readonly NetworkPolicy: INetworkPolicy;
  readonly PodDisruptionBudget: IPodDisruptionBudget;
  readonly PodMonitor: IPodMonitor;
  readonly PrometheusRule: IPrometheusRule;
  readonly ScaledObject: IScaledObject;
  readonly Service: IService;
  readonly ServiceAccount: IServiceAccount;
  readonly StatefulSet: IStatefulSet;
}

export type Manifest = Kinds[keyof Kinds];

export type Labels = Readonly<Record<string, string>>;

/** The pods that a manifest makes. */
export interface Pod {
  /** What makes them, such as `Deployment gateway`. */
  readonly of: string;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly spec: IPodSpec;
  /** All of its containers, those that run first among them. */
  readonly containers: readonly IContainer[];
}

/** Why the kubectl of this machine can't build the manifests, as a sentence; null if it can. */
export function kubectlProblem(program = 'kubectl'): string | null {
  const { status, stdout } = spawnSync(program, ['version', '--client', '-o', 'json'], { encoding: 'utf8' });
  const needed = `building the manifests in k8s/ takes 1.${OLDEST_KUBECTL} or later.`;
  if (status !== 0) return `kubectl is not installed; ${needed}`;
  const { clientVersion } = JSON.parse(stdout) as { clientVersion: { major: string; minor: string } };
  const minor = Number.parseInt(clientVersion.minor, 10);
  if (minor >= OLDEST_KUBECTL) return null;
  return `kubectl is 1.${minor}, which can't read kustomize's components; ${needed}`;
}

/** What kustomize makes of an overlay or the base in `k8s/`, with some of the components put in. */
export function build(path: string, ...components: readonly string[]): Manifest[] {
  if (components.length === 0) return kustomize(join(K8S, path));
  const dir = tempDir();
  const to = (folder: string) => relative(realpathSync(dir), join(K8S, folder));
  const { namespace, images } = parse(read(`k8s/${path}/kustomization.yaml`)) as Record<string, unknown>;
  const kustomization = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    namespace,
    images,
    resources: [to(path)],
    components: components.map((name) => to(`components/${name}`)),
  };
  writeFileSync(join(dir, 'kustomization.yaml'), JSON.stringify(kustomization));
  return kustomize(dir);
}

function kustomize(dir: string): Manifest[] {
  const text = execFileSync('kubectl', ['kustomize', dir], { encoding: 'utf8' });
  return parseAllDocuments(text).map((document) => document.toJS() as Manifest);
}

/** Such as `Deployment gateway`. */
export function titleOf({ kind, metadata }: Manifest): string {
  return `${kind} ${metadata?.name}`;
}

export function ofKind<K extends keyof Kinds>(manifests: readonly Manifest[], kind: K): Kinds[K][] {
  return manifests.filter((manifest): manifest is Manifest & Kinds[K] => manifest.kind === kind);
}

export function named<K extends keyof Kinds>(
  manifests: readonly Manifest[],
  kind: K,
  name: string | undefined,
): Kinds[K] | undefined {
  return ofKind(manifests, kind).find(({ metadata }) => metadata?.name === name);
}

export function podsOf(manifests: readonly Manifest[]): Pod[] {
  const makers = [
    ...ofKind(manifests, 'Deployment'),
    ...ofKind(manifests, 'StatefulSet'),
    ...ofKind(manifests, 'Job'),
  ];
  return makers.flatMap((maker) => {
    const template = maker.spec?.template;
    if (!template?.spec) return [];
    const { metadata, spec } = template;
    return {
      of: titleOf(maker),
      labels: metadata?.labels ?? {},
      annotations: metadata?.annotations ?? {},
      spec,
      containers: [...(spec.initContainers ?? []), ...spec.containers],
    };
  });
}

/** Whether a container runs this project's image. */
export function isOurs({ image }: IContainer): boolean {
  return /(^|\/)openchamp-session-server(:|$)/.test(image ?? '');
}

/** Instead of the value of a variable that isn't in the manifests. */
export const ELSEWHERE = Symbol('from a Secret, or from Kubernetes');

/** The environment of a container. */
export function environmentOf(
  container: IContainer,
  manifests: readonly Manifest[],
): Readonly<Record<string, string | typeof ELSEWHERE>> {
  const fromMaps = (container.envFrom ?? []).map(
    ({ configMapRef }) => named(manifests, 'ConfigMap', configMapRef?.name)?.data ?? {},
  );
  const own = (container.env ?? []).map(({ name, value }) => [name, value ?? ELSEWHERE] as const);
  return Object.assign({}, ...fromMaps, Object.fromEntries(own));
}

/** What pods are to be like. */
export interface Selector {
  readonly matchLabels?: Labels;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values?: readonly string[];
  }[];
}

/** Whether labels are as a selector asks for. */
export function isSelected(labels: Labels, { matchLabels = {}, matchExpressions = [] }: Selector): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const isIn = values.includes(labels[key] ?? '');
      return operator === 'In' ? isIn : operator === 'NotIn' ? !isIn : false;
    })
  );
}

/** The values of labels that a selector asks for, one by one. */
export function askedOf({
  matchLabels = {},
  matchExpressions = [],
}: Selector): [key: string, value: string][] {
  return [
    ...Object.entries(matchLabels),
    ...matchExpressions.flatMap(({ key, values = [] }) =>
      values.map((value): [string, string] => [key, value]),
    ),
  ];
}
