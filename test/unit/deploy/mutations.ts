import type { CheckName } from './checks.js';
import { type Manifest, titleOf } from './manifests.js';

/** One value of a deployment is changed, on one side only. */
export interface Mutation {
  readonly what: string;
  readonly deployment: string;
  /** The manifest, such as `Service gateway`; a generated name by its beginning. */
  readonly on: string;
  /** Where, as a JSON pointer. */
  readonly path: string;
  /** What is there then; undefined: nothing. */
  readonly value: unknown;
  /** The check that has to find it. */
  readonly fails: CheckName;
}

const ALL = 'dev with everything';
const GATEWAY = 'Deployment gateway';
const WORKER = 'Deployment worker';
const REDIS = 'StatefulSet redis';
const SETTINGS = 'ConfigMap openchamp-settings';
const POD = '/spec/template/spec';
const CONTAINER = `${POD}/containers/0`;
const LABEL = 'app.kubernetes.io~1component';

type Row = readonly [
  fails: CheckName,
  what: string,
  deployment: string,
  on: string,
  path: string,
  value?: unknown,
];

const ROWS: readonly Row[] = [
  ['schema', 'a field of a container is misspelt', 'base', GATEWAY, `${CONTAINER}/livenesProbe`, {}],
  ['schema', 'a field of a manifest is misspelt', 'base', 'Ingress gateway', '/specs', {}],
  ['schema', 'a number is a text', 'base', GATEWAY, '/spec/replicas', 'two'],
  ['schema', 'there is no such kind', 'base', 'ServiceAccount openchamp', '/kind', 'ServiceAcount'],
  [
    'schema',
    'a field of a PodMonitor is misspelt',
    'prod',
    'PodMonitor openchamp',
    '/spec/podMetricEndpoints',
    [],
  ],
  [
    'schema',
    'a field of an alert is misspelt',
    'prod',
    'PrometheusRule openchamp',
    '/spec/groups/0/rules/0/sumary',
    '',
  ],
  [
    'schema',
    'a field of a ScaledObject is misspelt',
    ALL,
    'ScaledObject gateway',
    '/spec/triggers/0/threshold',
    '1',
  ],

  ['settings', 'a setting has another name', 'base', SETTINGS, '/data/DRAIN_SECOND', '20'],
  ['settings', 'a setting is bad', 'base', SETTINGS, '/data/PARTITIONS', '3'],
  ['settings', 'a variable has another name', 'base', WORKER, `${CONTAINER}/env/0/name`, 'REDIS_PASS'],

  ['commands', 'a command has another name', 'base', GATEWAY, `${CONTAINER}/args/0`, 'server'],
  [
    'commands',
    'an option of the load test has another name',
    'loadtest',
    'Job loadtest',
    `${CONTAINER}/args/2`,
    '--url',
  ],
  [
    'commands',
    'an option of the seeding has another name',
    'loadtest',
    'Job loadtest',
    `${POD}/initContainers/0/args/1`,
    '--n',
  ],
  ['commands', 'there is no such scenario', 'loadtest', 'Job loadtest', `${CONTAINER}/args/1`, 'everything'],

  ['ports', 'operators are served on another port', 'base', SETTINGS, '/data/ADMIN_PORT', '9091'],
  ['ports', 'clients are served on another port', 'base', SETTINGS, '/data/PORT', '8000'],
  ['ports', "a container's port is another one", 'base', GATEWAY, `${CONTAINER}/ports/0/containerPort`, 8000],
  ['ports', "a worker's port has another name", 'base', WORKER, `${CONTAINER}/ports/0/name`, 'operators'],

  [
    'probes',
    'a probe asks for another path',
    'base',
    GATEWAY,
    `${CONTAINER}/readinessProbe/httpGet/path`,
    '/ready',
  ],
  [
    'probes',
    'a probe asks on another port',
    'base',
    GATEWAY,
    `${CONTAINER}/livenessProbe/httpGet/port`,
    'ws',
  ],
  [
    'probes',
    'a gateway is restarted while Redis is away',
    'base',
    GATEWAY,
    `${CONTAINER}/livenessProbe/httpGet/path`,
    '/readyz',
  ],
  ['probes', 'a worker has no startup probe', 'base', WORKER, `${CONTAINER}/startupProbe`],
  [
    'probes',
    'Redis is asked on another port',
    'base',
    REDIS,
    `${CONTAINER}/livenessProbe/tcpSocket/port`,
    'db',
  ],

  [
    'services',
    'a service is for another port',
    'base',
    'Service gateway',
    '/spec/ports/0/targetPort',
    'http',
  ],
  ['services', 'a service has another port', 'base', 'Service redis', '/spec/ports/0/port', 6380],
  ['services', 'a service has another name', 'base', 'Service redis', '/metadata/name', 'db'],
  ['services', 'a service selects nobody', 'base', 'Service gateway', `/spec/selector/${LABEL}`, 'gate'],
  [
    'services',
    'the ingress means another port',
    'base',
    'Ingress gateway',
    '/spec/rules/0/http/paths/0/backend/service/port/name',
    'http',
  ],
  [
    'services',
    'Redis is said to be elsewhere',
    'base',
    'ConfigMap openchamp-redis',
    '/data/REDIS_URL',
    'redis://db:6379',
  ],
  [
    'services',
    'Redis is said to be on another port',
    'base',
    'ConfigMap openchamp-redis',
    '/data/REDIS_URL',
    'redis://redis:6380',
  ],
  [
    'services',
    'the load test plays with somebody else',
    'loadtest',
    'Job loadtest',
    `${CONTAINER}/args/3`,
    'ws://gateway:80/ws',
  ],
  [
    'services',
    'the load test looks for metrics elsewhere',
    'loadtest',
    'Service gateway-operators',
    '/metadata/name',
    'operators',
  ],

  [
    'selectors',
    'a budget is for nobody',
    'base',
    'PodDisruptionBudget worker',
    `/spec/selector/matchLabels/${LABEL}`,
    'works',
  ],
  [
    'selectors',
    'a policy is for nobody',
    'base',
    'NetworkPolicy openchamp-clients',
    `/spec/podSelector/matchLabels/${LABEL}`,
    'gate',
  ],
  [
    'selectors',
    'a policy is for somebody who is not there, too',
    'base',
    'NetworkPolicy openchamp-redis',
    '/spec/ingress/0/from/0/podSelector/matchExpressions/0/values/1',
    'jobs',
  ],
  [
    'selectors',
    'a Deployment selects others than it makes',
    'base',
    GATEWAY,
    `/spec/template/metadata/labels/${LABEL}`,
    'gate',
  ],
  [
    'selectors',
    'nobody is spread',
    'base',
    GATEWAY,
    `${POD}/topologySpreadConstraints/0/labelSelector/matchLabels/${LABEL}`,
    'gate',
  ],

  [
    'references',
    'settings are taken from a ConfigMap that is not there',
    'base',
    GATEWAY,
    `${CONTAINER}/envFrom/0/configMapRef/name`,
    'settings',
  ],
  ['references', 'what is mounted is not there', 'base', REDIS, `${CONTAINER}/volumeMounts/0/name`, 'disk'],
  ['references', 'a ServiceAccount is not there', 'base', WORKER, `${POD}/serviceAccountName`, 'default'],
  ['references', 'the service of a StatefulSet is not there', 'base', REDIS, '/spec/serviceName', 'db'],

  [
    'network',
    'clients are let to another port',
    'base',
    'NetworkPolicy openchamp-clients',
    '/spec/ingress/0/ports/0/port',
    'http',
  ],
  [
    'network',
    'Prometheus is let to another port',
    'base',
    'NetworkPolicy openchamp-operators',
    '/spec/ingress/0/ports/0/port',
    'ws',
  ],
  [
    'network',
    'Prometheus is said to be elsewhere',
    'base',
    'NetworkPolicy openchamp-operators',
    '/spec/ingress/0/from/0/namespaceSelector/matchLabels/kubernetes.io~1metadata.name',
    'prometheus',
  ],
  [
    'network',
    'everybody is let to the operators',
    'base',
    'NetworkPolicy openchamp-operators',
    '/spec/ingress/0/from',
  ],
  [
    'network',
    'workers are not let to Redis',
    'base',
    'NetworkPolicy openchamp-redis',
    '/spec/ingress/0/from/0/podSelector/matchExpressions/0/values',
    ['gateway'],
  ],
  [
    'network',
    'gateways are not let out to Redis',
    'base',
    'NetworkPolicy openchamp-to-redis',
    '/spec/podSelector/matchExpressions/0/values',
    ['worker'],
  ],
  [
    'network',
    'they are let out to another port',
    'base',
    'NetworkPolicy openchamp-to-redis',
    '/spec/egress/0/ports/0/port',
    6380,
  ],
  [
    'network',
    'names cannot be looked up',
    'base',
    'NetworkPolicy openchamp-to-dns',
    '/spec/egress/0/ports/0/protocol',
    'TCP',
  ],
  ['network', 'nobody is shut out', 'base', 'NetworkPolicy openchamp-deny', '/spec/policyTypes', []],
  [
    'network',
    "the load test does not reach the gateway's metrics",
    'loadtest',
    'NetworkPolicy openchamp-loadtest-metrics',
    '/spec/ingress/0/ports/0/port',
    'ws',
  ],

  [
    'monitoring',
    'Prometheus is told another port',
    'base',
    WORKER,
    '/spec/template/metadata/annotations/prometheus.io~1port',
    '8080',
  ],
  [
    'monitoring',
    'a PodMonitor asks on another port',
    'prod',
    'PodMonitor openchamp',
    '/spec/podMetricsEndpoints/0/port',
    'metrics',
  ],
  [
    'monitoring',
    'a PodMonitor asks for another path',
    'prod',
    'PodMonitor openchamp',
    '/spec/podMetricsEndpoints/0/path',
    '/prometheus',
  ],
  [
    'monitoring',
    'a PodMonitor leaves out the workers',
    'prod',
    'PodMonitor openchamp',
    '/spec/selector/matchExpressions/0/values',
    ['gateway'],
  ],
  [
    'monitoring',
    'a PodMonitor copies a label that is not there',
    'prod',
    'PodMonitor openchamp',
    '/spec/podTargetLabels/0',
    'component',
  ],

  [
    'autoscaling',
    'the autoscaler is for nobody',
    'prod',
    'HorizontalPodAutoscaler gateway',
    '/spec/scaleTargetRef/name',
    'gateways',
  ],
  ['autoscaling', 'KEDA scales nobody', ALL, 'ScaledObject gateway', '/spec/scaleTargetRef/name', 'gateways'],
  [
    'autoscaling',
    'KEDA scales a kind that is not there',
    ALL,
    'ScaledObject gateway',
    '/spec/scaleTargetRef/kind',
    'StatefulSet',
  ],
  [
    'autoscaling',
    'KEDA asks about another namespace',
    ALL,
    'ScaledObject gateway',
    '/spec/triggers/0/metadata/query',
    'sum(openchamp_connections{namespace="other"})',
  ],
  [
    'autoscaling',
    'KEDA takes no answer for zero',
    ALL,
    'ScaledObject gateway',
    '/spec/triggers/0/metadata/ignoreNullValues',
    'true',
  ],
  [
    'autoscaling',
    'a Deployment sets its number against the autoscaler',
    'prod',
    GATEWAY,
    '/spec/replicas',
    2,
  ],

  ['redis', 'nobody is told where Redis is', 'base', 'ConfigMap openchamp-redis', '/data/REDIS_URL'],
  [
    'redis',
    'Redis has less memory than it may take',
    'base',
    REDIS,
    `${CONTAINER}/resources/limits/memory`,
    '1Gi',
  ],
  [
    'redis',
    'Redis may take all memory',
    'base',
    REDIS,
    `${CONTAINER}/args/0`,
    'exec redis-server --appendonly yes --maxmemory-policy noeviction --hash-max-listpack-value 256',
  ],
  [
    'redis',
    'Redis evicts',
    'base',
    REDIS,
    `${CONTAINER}/args/0`,
    'exec redis-server --appendonly yes --maxmemory 1200mb --hash-max-listpack-value 256',
  ],

  ['grace periods', 'gateways drain for longer than they may', 'base', SETTINGS, '/data/DRAIN_SECONDS', '60'],
  [
    'grace periods',
    'gateways wait for longer before they drain',
    'base',
    GATEWAY,
    `${CONTAINER}/lifecycle/preStop/exec/command/1`,
    '30',
  ],
  [
    'grace periods',
    'workers have no time to end',
    'base',
    WORKER,
    `${POD}/terminationGracePeriodSeconds`,
    10,
  ],

  [
    'secrets',
    'a Secret has another name',
    'base',
    GATEWAY,
    `${CONTAINER}/env/1/valueFrom/secretKeyRef/name`,
    'redis',
  ],
  [
    'secrets',
    'a Secret has another key',
    'base',
    REDIS,
    `${CONTAINER}/env/0/valueFrom/secretKeyRef/key`,
    'secret',
  ],

  [
    'images',
    'the load test is of another version',
    'loadtest',
    'Job loadtest',
    `${CONTAINER}/image`,
    'openchamp-session-server:old',
  ],
  ['images', 'an image is whatever is the latest', 'base', REDIS, `${CONTAINER}/image`, 'redis:latest'],

  ['rights', 'somebody is root', 'base', GATEWAY, `${POD}/securityContext/runAsUser`, 0],
  [
    'rights',
    'somebody may write to his image',
    'base',
    WORKER,
    `${CONTAINER}/securityContext/readOnlyRootFilesystem`,
    false,
  ],
  ['rights', 'somebody may take all memory', 'base', GATEWAY, `${CONTAINER}/resources/limits`],

  [
    'game servers',
    'game servers listen on other ports',
    ALL,
    WORKER,
    `${CONTAINER}/env/1/value`,
    '7000-7010',
  ],
  [
    'game servers',
    'players are told another machine',
    ALL,
    WORKER,
    `${CONTAINER}/env/2/valueFrom/fieldRef/fieldPath`,
    'status.podIP',
  ],
  [
    'game servers',
    'players are not let to all ports',
    ALL,
    'NetworkPolicy openchamp-players',
    '/spec/ingress/0/ports/1/endPort',
    7008,
  ],
  [
    'game servers',
    'a port of the machine leads elsewhere',
    ALL,
    WORKER,
    `${CONTAINER}/ports/0/hostPort`,
    8000,
  ],
];

export const MUTATIONS: readonly Mutation[] = ROWS.map(([fails, what, deployment, on, path, value]) => ({
  fails,
  what,
  deployment,
  on,
  path,
  value,
}));

/** The manifests with one value changed. @throws Error when there is nothing to change */
export function mutated(
  manifests: readonly Manifest[],
  on: string,
  path: string,
  value: unknown,
): Manifest[] {
  const copy = structuredClone([...manifests]);
  const target = copy.find((one) => titleOf(one) === on || titleOf(one).replace(/-[a-z0-9]{10}$/, '') === on);
  const keys = path
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
  const last = keys.pop() ?? '';
  let place: unknown = target;
  for (const key of keys) place = isObject(place) ? place[key] : undefined;
  if (!isObject(place) || place[last] === value)
    throw new Error(`There is no ${path} in ${on}, or it is the same.`);
  if (value === undefined) delete place[last];
  else place[last] = value;
  return copy;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
