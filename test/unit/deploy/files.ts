import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

export function read(path: string): string {
  return readFileSync(`${ROOT}${path}`, 'utf8');
}

interface Setting {
  readonly default?: unknown;
}

/** The settings of the server. */
export const SETTINGS = (JSON.parse(read('schemas/config.json')) as { properties: Record<string, Setting> })
  .properties;

export interface Service {
  readonly image: string;
  readonly user?: string;
  readonly command?: readonly string[];
  readonly build?: string;
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly networks: readonly string[];
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly restart?: string;
  readonly stop_grace_period?: string;
  readonly stop_signal?: string;
}

export interface Compose {
  readonly name: string;
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<
    Record<string, { internal?: boolean; ipam?: { config: readonly { subnet: string }[] } }>
  >;
}

/** docker-compose.yml with its variables at their defaults; those that must be set are `chosen`. */
export function readCompose(): Compose {
  const compose: unknown = parse(read('docker-compose.yml'), { merge: true });
  return JSON.parse(JSON.stringify(compose, (_, value) => interpolate(value))) as Compose;
}

function interpolate(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  return value
    .replace(/(?<!\$)\$\{\w+:-([^}]*)\}/g, '$1')
    .replace(/(?<!\$)\$\{\w+:\?[^}]*\}/g, 'chosen')
    .replaceAll('$$', '$');
}
