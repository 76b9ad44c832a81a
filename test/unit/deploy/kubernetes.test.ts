import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { createMetrics } from '../../../src/admin/metrics.js';
import { startAdmin } from '../../../src/admin/server.js';
import { compileConfigValidator } from '../../../src/contract/validators.js';
import { longestDrainMs } from '../../../src/server.js';
import { tempDir } from '../../support/guardian.js';
import { IDLE } from '../../support/metrics.js';

const load = createRequire(import.meta.url);

const K8S = fileURLToPath(new URL('../../../k8s/', import.meta.url));

/** Older ones, such as that of Debian 12, can't read components. */
const OLDEST_KUBECTL = 22;

/** The setting of each variable must be one of these. */
const SETTINGS = Object.keys(
  JSON.parse(readFileSync(fileURLToPath(new URL('../../../schemas/config.json', import.meta.url)), 'utf8'))
    .properties,
);

/** Variables of the containers that are not settings of the server. */
const FOREIGN = ['NODE_OPTIONS'];

/** Kinds whose schemas are not Kubernetes' own. */
const CUSTOM = ['PodMonitor', 'PrometheusRule', 'ScaledObject'];

// biome-ignore lint/suspicious/noExplicitAny: objects of many kinds, whose schemas are checked here
type KubeObject = any;

const minor = kubectlMinor();
if (minor === null) console.warn('kubectl is not installed: the manifests are not checked.');
else if (minor < OLDEST_KUBECTL) {
  console.warn(
    `kubectl 1.${minor} can't read components: the manifests are not checked. It takes 1.${OLDEST_KUBECTL} or later.`,
  );
}

const isChecked = minor !== null && minor >= OLDEST_KUBECTL;
describe.skipIf(!isChecked)('the manifests in k8s/', () => {
  const paths = ['base', 'overlays/dev', 'overlays/prod', 'overlays/loadtest'];
  const built = new Map(isChecked ? paths.map((path) => [path, build(path)]) : []);

  it.each([...built])('%s: every object is as its schema says', (_path, objects) => {
    expect(objects.length).toBeGreaterThan(0);
    for (const object of objects) {
      if (CUSTOM.includes(object.kind)) continue;
      const models = load(`kubernetes-models/${object.apiVersion}`);
      const Model = models[object.kind];
      expect(Model, `${object.apiVersion} ${object.kind}`).toBeDefined();
      expect(() => new Model(object).validate(), `${object.kind} ${object.metadata.name}`).not.toThrow();
    }
  });

  it('components can be put into an overlay, KEDA instead of the autoscaler', () => {
    const objects = withComponents('keda', 'monitoring');
    expect(kinds(objects)).toEqual(expect.arrayContaining(CUSTOM));
    expect(one(objects, 'Deployment', 'gateway').spec.replicas).toBeUndefined();
  });

  it.each([...built])(
    '%s: the variables are settings of the server, and their values are valid',
    (_path, objects) => {
      const validate = compileConfigValidator();
      for (const container of ownContainers(objects)) {
        const env = environmentOf(container, objects);
        for (const name of Object.keys(env)) expect([...SETTINGS, ...FOREIGN]).toContain(name);
        const known = Object.entries(env).filter(([name]) => !FOREIGN.includes(name));
        const values = Object.fromEntries(known.filter(([, value]) => value !== SECRET));
        expect(validate(values), container.name).toMatchObject({ ok: true });
      }
    },
  );

  it('probes ask for what is served, on the port that it is served on', async () => {
    const admin = await startAdmin({
      host: '127.0.0.1',
      port: 0,
      readiness: async () => null,
      metrics: createMetrics(IDLE),
      api: null,
      logger: pino({ level: 'silent' }),
    });
    try {
      const objects = built.get('base')!;
      let probes = 0;
      for (const container of ownContainers(objects)) {
        const ports = new Map(container.ports.map((port: KubeObject) => [port.name, port.containerPort]));
        const { ADMIN_PORT, PORT } = environmentOf(container, objects);
        expect(String(ports.get('admin'))).toBe(ADMIN_PORT);
        if (ports.has('ws')) expect(String(ports.get('ws'))).toBe(PORT);
        for (const kind of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
          if (!container[kind]) continue;
          const { path, port } = container[kind].httpGet;
          expect(port).toBe('admin');
          expect((await fetch(`http://127.0.0.1:${admin.port}${path}`)).status).toBe(200);
          probes += 1;
        }
      }
      expect(probes).toBeGreaterThanOrEqual(4);
      const { podMetricsEndpoints } = one(withComponents('monitoring'), 'PodMonitor', 'openchamp').spec;
      const metrics = await fetch(`http://127.0.0.1:${admin.port}${podMetricsEndpoints[0].path}`);
      expect(metrics.status).toBe(200);
    } finally {
      await admin.close();
    }
  });

  it('leave a gateway the time to drain', () => {
    for (const path of ['base', 'overlays/dev', 'overlays/prod']) {
      const objects = built.get(path)!;
      const { spec } = one(objects, 'Deployment', 'gateway').spec.template;
      const [container] = spec.containers;
      const [program, seconds] = container.lifecycle.preStop.exec.command;
      expect(program).toBe('sleep');
      const drainMs = longestDrainMs(Number(environmentOf(container, objects).DRAIN_SECONDS));
      expect(spec.terminationGracePeriodSeconds * 1000).toBeGreaterThan(Number(seconds) * 1000 + drainMs);
    }
  });

  it.each([...built])('%s: selectors and names find what they mean', (path, objects) => {
    const pods = objects.filter(({ spec }) => spec?.template).map(({ spec }) => spec.template);
    const isFound = (labels: Record<string, string>) =>
      pods.some(({ metadata }) =>
        Object.entries(labels).every(([key, value]) => metadata.labels[key] === value),
      );
    for (const { kind, metadata, spec } of objects) {
      const selector =
        spec?.selector?.matchLabels ??
        spec?.podSelector?.matchLabels ??
        (kind === 'Service' && spec.selector);
      if (selector && kind !== 'PodMonitor') expect(isFound(selector), `${kind} ${metadata.name}`).toBe(true);
      if (kind === 'HorizontalPodAutoscaler') {
        expect(() => one(objects, spec.scaleTargetRef.kind, spec.scaleTargetRef.name)).not.toThrow();
      }
      for (const rule of kind === 'Ingress' ? spec.rules : []) {
        const { service } = rule.http.paths[0].backend;
        const { ports } = one(objects, 'Service', service.name).spec;
        expect(ports.map(({ name }: KubeObject) => name)).toContain(service.port.name);
      }
    }
    if (path === 'overlays/loadtest') {
      const dev = built.get('overlays/dev')!;
      const { args } = one(objects, 'Job', 'loadtest').spec.template.spec.containers[0];
      const target = new URL(args[args.indexOf('--target') + 1]);
      const { ports } = one(dev, 'Service', target.hostname).spec;
      expect(ports[0].port).toBe(Number(target.port));
    }
  });

  it('let nobody be root, or write to the image', () => {
    for (const objects of built.values()) {
      for (const { spec } of objects.filter((object) => object.spec?.template)) {
        const pod = spec.template.spec;
        expect(pod.securityContext).toMatchObject({
          runAsNonRoot: true,
          seccompProfile: { type: 'RuntimeDefault' },
        });
        expect(pod.automountServiceAccountToken).toBe(false);
        for (const { securityContext, resources } of [...pod.containers, ...(pod.initContainers ?? [])]) {
          expect(securityContext).toEqual({
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          });
          expect(resources.limits.memory).toBeDefined();
        }
      }
    }
  });

  it('alerts and autoscaling ask for metrics that there are', async () => {
    const exposed = await createMetrics(IDLE).text();
    const objects = [...built.get('overlays/prod')!, ...withComponents('keda', 'monitoring')];
    const rules = one(objects, 'PrometheusRule', 'openchamp').spec.groups[0].rules;
    const asked = [
      ...rules.map(({ expr }: KubeObject) => expr),
      one(objects, 'ScaledObject', 'gateway').spec.triggers[0].metadata.query,
      one(objects, 'HorizontalPodAutoscaler', 'gateway').spec.metrics[0].pods.metric.name,
    ].flatMap((text: string) => text.match(/(?:openchamp|nodejs|process)_[a-z0-9_]+/g) ?? []);
    expect(asked.length).toBeGreaterThan(5);
    for (const name of asked) expect(exposed).toContain(`\n${name.replace(/_bucket$/, '')}`);
  });
});

/** Instead of the value of a variable that a Secret has. */
const SECRET = Symbol('secret');

function kubectlMinor(): number | null {
  const { status, stdout } = spawnSync('kubectl', ['version', '--client', '-o', 'json'], {
    encoding: 'utf8',
  });
  return status === 0 ? Number.parseInt(JSON.parse(stdout).clientVersion.minor, 10) : null;
}

/** What kustomize makes of a folder of `k8s/`. */
function build(path: string): KubeObject[] {
  return kustomize(join(K8S, path));
}

/** What it makes of the base with some components. */
function withComponents(...names: readonly string[]): KubeObject[] {
  const dir = tempDir();
  const to = (path: string) => relative(realpathSync(dir), join(K8S, path));
  const components = names.map((name) => to(`components/${name}`));
  const kustomization = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: [to('base')],
    components,
  };
  writeFileSync(join(dir, 'kustomization.yaml'), JSON.stringify(kustomization));
  return kustomize(dir);
}

function kustomize(dir: string): KubeObject[] {
  const text = execFileSync('kubectl', ['kustomize', dir], { encoding: 'utf8' });
  return parseAllDocuments(text).map((document) => document.toJS());
}

function kinds(objects: readonly KubeObject[]): string[] {
  return objects.map(({ kind }) => kind);
}

function one(objects: readonly KubeObject[], kind: string, name: string): KubeObject {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  if (!found) throw new Error(`There is no ${kind} ${name}.`);
  return found;
}

/** Containers of this project's image. */
function ownContainers(objects: readonly KubeObject[]): KubeObject[] {
  return objects
    .filter(({ spec }) => spec?.template)
    .flatMap(({ spec }) => [...(spec.template.spec.initContainers ?? []), ...spec.template.spec.containers])
    .filter(({ image }) => image.includes('openchamp-session-server'));
}

/** The environment of a container, with `SECRET` for what is not in the manifests. */
function environmentOf(
  container: KubeObject,
  objects: readonly KubeObject[],
): Record<string, string | symbol> {
  const fromMaps = (container.envFrom ?? []).map(
    ({ configMapRef }: KubeObject) => one(objects, 'ConfigMap', configMapRef.name).data,
  );
  const own = (container.env ?? []).map(({ name, value }: KubeObject) => [name, value ?? SECRET]);
  return Object.assign({}, ...fromMaps, Object.fromEntries(own));
}
