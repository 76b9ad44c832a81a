import type { IContainer, IProbe } from 'kubernetes-models/v1';
import { compileConfigValidator } from '../../../../src/contract/validators.js';
import { SCENARIOS } from '../../../../src/load/scenarios/scenarios.js';
import { longestDrainMs } from '../../../../src/server.js';
import { LONGEST_CLOSING_MS } from '../../../../src/worker.js';
import { commandOptions } from '../../../support/commandOptions.js';
import { SETTINGS } from '../files.js';
import { ELSEWHERE, environmentOf, type Manifest, type Pod, podsOf } from '../manifests.js';
import { portNumber } from '../network.js';
import { nodes, ownContainers } from './own.js';

/** What is served on the operators' port without a token. */
export const PUBLIC_PATHS = ['/livez', '/readyz', '/metrics'];

/** Variables of the containers that are not settings of the server. */
const FOREIGN = ['NODE_OPTIONS'];

export function settings(manifests: readonly Manifest[]): string[] {
  const validate = compileConfigValidator();
  return ownContainers(manifests).flatMap(({ pod, container }) => {
    const env = Object.entries(environmentOf(container, manifests));
    const foreign = env.filter(([name]) => !(name in SETTINGS) && !FOREIGN.includes(name));
    const known = env.filter(([name, value]) => name in SETTINGS && value !== ELSEWHERE);
    const result = validate(Object.fromEntries(known) as Record<string, string>);
    return [
      ...foreign.map(([name]) => `${pod.of}: ${name} is no setting`),
      ...(result.ok ? [] : [`${pod.of}: ${result.problem}`]),
    ];
  });
}

/** Containers run commands that there are, with options that there are. */
export function commands(manifests: readonly Manifest[]): string[] {
  return ownContainers(manifests).flatMap(({ pod, container: { args = [], command } }) => {
    if (command) return [];
    const [name = '', ...rest] = args;
    const options = commandOptions(name);
    if (!options) return [`${pod.of}: there is no command ${name}`];
    const problems: string[] = [];
    if (name === 'load' && !Object.hasOwn(SCENARIOS, rest.shift() ?? ''))
      problems.push(`${pod.of}: no such scenario`);
    while (rest.length > 0) {
      const option = rest.shift()!;
      const takesValue = options.get(option);
      if (takesValue === undefined) problems.push(`${pod.of}: ${name} has no option ${option}`);
      else if (takesValue && /^(--|$)/.test(rest.shift() ?? ''))
        problems.push(`${pod.of}: ${option} lacks its value`);
    }
    return problems;
  });
}

/** Nodes listen on the ports that their containers say. */
export function ports(manifests: readonly Manifest[]): string[] {
  return nodes(manifests).flatMap(({ pod, container, role }) => {
    const { ADMIN_PORT, PORT } = environmentOf(container, manifests);
    const listening = { admin: ADMIN_PORT, ...(role === 'serve' && { ws: PORT }) };
    return Object.entries(listening).flatMap(([name, port]) =>
      String(portNumber(pod, name)) === port ? [] : [`${pod.of}: its port ${name} is not ${String(port)}`],
    );
  });
}

export function probes(manifests: readonly Manifest[]): string[] {
  const missing = nodes(manifests).flatMap(({ pod, container }) =>
    (['startupProbe', 'livenessProbe', 'readinessProbe'] as const)
      .filter((kind) => !container[kind]?.httpGet)
      .map((kind) => `${pod.of}: it has no ${kind}`),
  );
  const wrong = podsOf(manifests).flatMap((pod) =>
    pod.containers.flatMap((container) => probesOf(container).flatMap((probe) => probeProblems(pod, probe))),
  );
  const dead = nodes(manifests).filter(
    ({ container }) => container.livenessProbe?.httpGet?.path === '/readyz',
  );
  return [...missing, ...wrong, ...dead.map(({ pod }) => `${pod.of}: it dies when Redis is away`)];
}

function probesOf({ startupProbe, livenessProbe, readinessProbe }: IContainer): IProbe[] {
  return [startupProbe, livenessProbe, readinessProbe].filter((probe) => probe !== undefined);
}

function probeProblems(pod: Pod, { httpGet, tcpSocket }: IProbe): string[] {
  const port = httpGet?.port ?? tcpSocket?.port;
  const problems: string[] = [];
  if (port !== undefined && portNumber(pod, port) === undefined)
    problems.push(`${pod.of}: it has no port ${port}`);
  if (httpGet && port !== 'admin') problems.push(`${pod.of}: a probe asks on ${port}`);
  if (httpGet && !PUBLIC_PATHS.includes(httpGet.path ?? ''))
    problems.push(`${pod.of}: ${httpGet.path} is not served`);
  return problems;
}

export function gracePeriods(manifests: readonly Manifest[]): string[] {
  return nodes(manifests).flatMap(({ pod, container, role }) => {
    const [program, seconds] = container.lifecycle?.preStop?.exec?.command ?? ['sleep', '0'];
    const { DRAIN_SECONDS = SETTINGS.DRAIN_SECONDS?.default } = environmentOf(container, manifests);
    const endMs = role === 'serve' ? longestDrainMs(Number(DRAIN_SECONDS)) : LONGEST_CLOSING_MS;
    const neededMs = Number(seconds) * 1000 + endMs;
    const givenMs = (pod.spec.terminationGracePeriodSeconds ?? 30) * 1000;
    return program === 'sleep' && givenMs > neededMs
      ? []
      : [`${pod.of}: it has ${givenMs} ms to end, and needs ${neededMs}`];
  });
}
