import { createRequire } from 'node:module';
import { type Manifest, titleOf } from './manifests.js';

const load = createRequire(import.meta.url);

interface Model {
  readonly prototype: { validate(): void };
}

/** Where the schemas of an API group are that is not Kubernetes' own. */
const CUSTOM: Readonly<Record<string, string>> = {
  'keda.sh': '@kubernetes-models/keda/',
  'monitoring.coreos.com': '@kubernetes-models/prometheus-operator/',
};

/** What is wrong with a manifest by the schema of its kind, fields among it that the schema doesn't know. */
export function schemaProblems(manifest: Manifest): string[] {
  const { apiVersion, kind } = manifest;
  const title = titleOf(manifest);
  const [group = ''] = apiVersion.split('/');
  const model = modelOf(`${CUSTOM[group] ?? 'kubernetes-models/'}${apiVersion}/${kind}`, kind);
  if (!model) return [`${title}: there is no ${kind} in ${apiVersion}`];
  const watched = new Watched(manifest);
  try {
    model.prototype.validate.call(watched.value);
  } catch (error) {
    return [`${title}: ${(error as Error).message}`];
  }
  return watched.unread.map((path) => `${title}: ${path} is not known`);
}

function modelOf(path: string, kind: string): Model | undefined {
  try {
    return (load(path) as Record<string, Model>)[kind];
  } catch {
    return undefined; // no such file
  }
}

/**
 * An object that notes which of its fields are read. The schemas are compiled to functions that let unknown fields pass;
 * but they read every field that they know, so one that they haven't read is one that they don't know.
 */
class Watched<T extends object> {
  readonly value: T;
  private readonly read = new Map<object, Set<PropertyKey>>();

  constructor(private readonly object: T) {
    this.value = this.watch(object);
  }

  /** Paths of the fields that nobody has read. */
  get unread(): string[] {
    return this.unreadOf(this.object, '');
  }

  private watch<O extends object>(object: O): O {
    const read = this.read.get(object) ?? new Set<PropertyKey>();
    this.read.set(object, read);
    return new Proxy(object, {
      get: (target, key, receiver) => {
        read.add(key);
        const value: unknown = Reflect.get(target, key, receiver);
        return typeof value === 'object' && value !== null ? this.watch(value) : value;
      },
    });
  }

  private unreadOf(object: object, path: string): string[] {
    return Object.entries(object).flatMap(([key, value]) => {
      const here = path === '' ? key : `${path}.${key}`;
      if (!this.read.get(object)?.has(key)) return [here];
      return typeof value === 'object' && value !== null ? this.unreadOf(value, here) : [];
    });
  }
}
