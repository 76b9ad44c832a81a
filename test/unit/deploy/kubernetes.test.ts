import { chmodSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parse } from 'yaml';
import { createMetrics } from '../../../src/admin/metrics.js';
import { startAdmin } from '../../../src/admin/server.js';
import { tempDir } from '../../support/guardian.js';
import { IDLE } from '../../support/metrics.js';
import { PUBLIC_PATHS } from './checks/containers.js';
import { CHECKS, type CheckName, problemsOf } from './checks.js';
import { ROOT, read } from './files.js';
import { build, isOurs, kubectlProblem, type Manifest, named, ofKind, podsOf } from './manifests.js';
import { MUTATIONS, mutated } from './mutations.js';

/** What is deployed: an overlay as it is, or with components. */
const DEPLOYMENTS: Readonly<Record<string, readonly [path: string, ...components: string[]]>> = {
  base: ['base'],
  dev: ['overlays/dev'],
  prod: ['overlays/prod'],
  loadtest: ['overlays/loadtest'],
  'dev with everything': ['overlays/dev', 'keda', 'monitoring', 'game-servers', 'loadtest'],
};

describe('kubectl', () => {
  it.each([
    ['1', '32', null],
    ['1', '22+', null],
    [
      '1',
      '20',
      "kubectl is 1.20, which can't read kustomize's components; building the manifests in k8s/ takes 1.22 or later.",
    ],
  ])('%s.%s: is there a problem with it?', (major, minor, problem) => {
    const program = join(tempDir(), 'kubectl');
    writeFileSync(program, `#!/bin/sh\necho '${JSON.stringify({ clientVersion: { major, minor } })}'\n`);
    chmodSync(program, 0o755);
    expect(kubectlProblem(program)).toBe(problem);
  });

  it('is a problem if it is not there', () => {
    const problem = 'kubectl is not installed; building the manifests in k8s/ takes 1.22 or later.';
    expect(kubectlProblem(join(tempDir(), 'kubectl'))).toBe(problem);
  });
});

const problem = kubectlProblem();
if (problem) console.warn(problem);
if (problem && process.env.CI) {
  it('the manifests in k8s/ can be built', () => {
    throw new Error(problem);
  });
}

describe.skipIf(problem)('the manifests in k8s/', () => {
  const built = new Map(
    problem ? [] : Object.entries(DEPLOYMENTS).map(([name, folders]) => [name, build(...folders)] as const),
  );

  it.each([...built])('%s: everything is as its schema says, and holds together', (_name, manifests) => {
    expect(problemsOf(manifests)).toEqual({});
  });

  it.each(MUTATIONS)('are refused when $what', ({ deployment, on, path, value, fails }) => {
    const manifests = mutated(built.get(deployment)!, on, path, value);
    expect(CHECKS[fails](manifests)).not.toEqual([]);
  });

  it('have no check that never fails', () => {
    const failing = new Set<CheckName>(MUTATIONS.map(({ fails }) => fails));
    expect([...failing].toSorted()).toEqual(Object.keys(CHECKS).toSorted());
  });

  it('ask for paths that are served', async () => {
    const admin = await startAdmin({
      host: '127.0.0.1',
      port: 0,
      readiness: async () => null,
      metrics: createMetrics(IDLE),
      api: null,
      logger: pino({ level: 'silent' }),
    });
    onTestFinished(() => admin.close());
    for (const path of PUBLIC_PATHS) {
      expect((await fetch(`http://127.0.0.1:${admin.port}${path}`)).status, path).toBe(200);
    }
  });

  it('give each overlay an image of a version', () => {
    for (const overlay of readdirSync(`${ROOT}k8s/overlays`)) {
      const { images } = parse(read(`k8s/overlays/${overlay}/kustomization.yaml`)) as {
        images: { name: string; newName?: string; newTag: string }[];
      };
      const [{ name, newName = name, newTag }] = images as [(typeof images)[number]];
      const ours = podsOf(built.get(overlay)!).flatMap(({ containers }) => containers.filter(isOurs));
      expect(new Set(ours.map(({ image }) => image)), overlay).toEqual(new Set([`${newName}:${newTag}`]));
    }
  });

  it('ask for Secrets in production, so that nothing starts without a password', () => {
    const refs = podsOf(built.get('prod')!).flatMap(({ containers }) =>
      containers.flatMap(({ env = [] }) => env.flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? [])),
    );
    expect(refs.length).toBe(4);
    for (const ref of refs) expect(ref.optional).toBe(false);
  });

  it("have Grafana's dashboard", () => {
    const map = named(built.get('prod')!, 'ConfigMap', 'openchamp-dashboard')!;
    expect(map.metadata?.labels).toMatchObject({ grafana_dashboard: '1' });
    expect(map.data).toEqual({ 'dashboard.json': read('monitoring/dashboard.json') });
  });

  it('have labels by which kube-prometheus-stack finds what is to be watched', () => {
    const prod = built.get('prod')!;
    for (const one of [...ofKind(prod, 'PodMonitor'), ...ofKind(prod, 'PrometheusRule')]) {
      expect(one.metadata?.labels).toMatchObject({ release: 'kube-prometheus-stack' });
    }
  });

  it('alert and scale by metrics that there are', async () => {
    const exposed = await createMetrics(IDLE).text();
    const asked = [...built.values()].flatMap(expressions).flatMap((text) => text.match(METRIC) ?? []);
    expect(new Set(asked).size).toBeGreaterThan(5);
    for (const name of asked) expect(exposed).toContain(`\n${name.replace(/_bucket$/, '')}`);
  });
});

const METRIC = /(?:openchamp|nodejs|process)_[a-z0-9_]+/g;

/** What Prometheus is asked. */
function expressions(manifests: readonly Manifest[]): string[] {
  return [
    ...ofKind(manifests, 'PrometheusRule').flatMap(({ spec }) =>
      (spec.groups ?? []).flatMap(({ rules = [] }) => rules.map(({ expr }) => String(expr))),
    ),
    ...ofKind(manifests, 'ScaledObject').flatMap(({ spec }) =>
      spec.triggers.map(({ metadata }) => metadata.query ?? ''),
    ),
    ...ofKind(manifests, 'HorizontalPodAutoscaler').flatMap(({ spec }) =>
      (spec?.metrics ?? []).map(({ pods }) => pods?.metric.name ?? ''),
    ),
  ];
}
