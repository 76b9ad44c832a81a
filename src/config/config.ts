import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { availableParallelism, hostname, networkInterfaces } from 'node:os';
import { createSecureContext } from 'node:tls';
import type { ConfigVariables } from '../contract/config.generated.js';
import { compileConfigValidator } from '../contract/validators.js';
import type { Address, RedisTarget } from '../redis/client.js';
import { embeddedSocket } from '../redis/embedded.js';

/** The settings of a process: the variables of `schemas/config.json`, and what follows from them. */
export interface Config extends ConfigVariables {
  /** Where Redis is; null when no variable says so. */
  readonly redis: RedisTarget | null;
  /** What `nodeId` begins with. */
  readonly nodeLabel: string;
  /** Id of this process in the log and on the bus, new at each boot. */
  readonly nodeId: string;
  /** Files with which clients are served over TLS; null: plain. */
  readonly tls: { readonly certFile: string; readonly keyFile: string } | null;
  readonly trustedProxies: readonly string[];
  /** Threads of libuv that passwords may be hashed on: one is left for what else needs them, such as the look-up of a host. */
  readonly hashThreads: number;
  /** Null: any. */
  readonly allowedOrigins: ReadonlySet<string> | null;
  /** Ports for game servers. */
  readonly gamePorts: { readonly from: number; readonly to: number };
  /** Where players reach this machine. */
  readonly gameHost: string;
  /** The environment of programs that are started: this one's without its settings, passwords among them. */
  readonly programEnvironment: NodeJS.ProcessEnv;
  /** The environment as it was read: that of processes of our own. */
  readonly environment: NodeJS.ProcessEnv;
}

/** A setting is bad. The message is one sentence for the operator. */
export class BadConfig extends Error {}

/** Threads that libuv has unless `UV_THREADPOOL_SIZE` says otherwise. */
const LIBUV_THREADS = 4;

/**
 * Reads the settings from the environment.
 * @throws BadConfig
 */
export function readConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  const result = compileConfigValidator()(environment);
  if (!result.ok) throw new BadConfig(result.problem);
  const variables = result.config;
  if (variables.GAME_LAUNCHER === 'container' && !variables.GAME_IMAGE) {
    throw new BadConfig('GAME_IMAGE is not set; it is required with GAME_LAUNCHER=container.');
  }
  const nodeLabel = variables.NODE_ID ?? labelOf(hostname());
  return {
    ...variables,
    HASH_CONCURRENCY: variables.HASH_CONCURRENCY || Math.max(1, availableParallelism() - 1),
    hashThreads: Math.max(1, (Number(environment.UV_THREADPOOL_SIZE) || LIBUV_THREADS) - 1),
    redis: redisTarget(variables),
    nodeLabel,
    nodeId: `${nodeLabel}-${bootSuffix()}`,
    tls: tlsFiles(variables),
    trustedProxies: listOf(variables.TRUSTED_PROXIES).map(proxy),
    gamePorts: portRange(variables.GAME_PORTS),
    programEnvironment: Object.fromEntries(
      Object.entries(environment).filter(([name]) => !Object.hasOwn(variables, name)),
    ),
    environment,
    gameHost: variables.GAME_HOST ?? ownAddress(),
    allowedOrigins: variables.ALLOWED_ORIGINS ? new Set(listOf(variables.ALLOWED_ORIGINS)) : null,
  };
}

/** Where Redis is by default: the embedded one of this machine, if it runs, or port 6379. */
export function defaultRedis(config: Config): RedisTarget {
  return { kind: 'single', url: embeddedSocket(config.DATA_DIR) ?? 'redis://127.0.0.1:6379', tls: false };
}

function redisTarget(variables: ConfigVariables): RedisTarget | null {
  const { REDIS_URL, REDIS_SENTINELS, REDIS_MASTER, REDIS_CLUSTER } = variables;
  const access = {
    tls: variables.REDIS_TLS,
    ...(variables.REDIS_USERNAME !== undefined && { username: variables.REDIS_USERNAME }),
    ...(variables.REDIS_PASSWORD !== undefined && { password: variables.REDIS_PASSWORD }),
  };
  if (REDIS_URL) return { kind: 'single', url: REDIS_URL, ...access };
  if (REDIS_CLUSTER) return { kind: 'cluster', nodes: addressesOf(REDIS_CLUSTER), ...access };
  if (REDIS_SENTINELS && REDIS_MASTER) {
    const { REDIS_SENTINEL_PASSWORD: sentinelPassword } = variables;
    return {
      kind: 'sentinel',
      sentinels: addressesOf(REDIS_SENTINELS),
      master: REDIS_MASTER,
      ...(sentinelPassword !== undefined && { sentinelPassword }),
      ...access,
    };
  }
  const lonely = (['REDIS_USERNAME', 'REDIS_PASSWORD', 'REDIS_TLS'] as const).find((name) => variables[name]);
  if (lonely) {
    throw new BadConfig(
      `${lonely} is set, but not where Redis is: REDIS_URL, REDIS_SENTINELS or REDIS_CLUSTER.`,
    );
  }
  return null;
}

function tlsFiles({ TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile }: ConfigVariables): Config['tls'] {
  return certFile !== undefined && keyFile !== undefined ? { certFile, keyFile } : null;
}

/** Whether clients can be served with the certificate and key; only a gateway can read them. @throws BadConfig */
export function checkTls({ tls }: Config): void {
  if (!tls) return;
  try {
    createSecureContext({ cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile) });
  } catch (error) {
    throw new BadConfig(`TLS_CERT_FILE and TLS_KEY_FILE cannot be used: ${(error as Error).message}.`);
  }
}

function addressesOf(list: string): Address[] {
  return listOf(list).map((address) => {
    const colon = address.lastIndexOf(':');
    const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
    const port = Number(address.slice(colon + 1));
    if (port > 65_535) throw new BadConfig(`${port}, in ${address}, is no port.`);
    return { host, port };
  });
}

function portRange(text: string): Config['gamePorts'] {
  const [from = 0, to = 0] = text.split('-').map(Number);
  if (from > to || to > 65_535) throw new BadConfig(`GAME_PORTS is "${text}", which is no range of ports.`);
  return { from, to };
}

function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.find(({ internal, family }) => !internal && family === 'IPv4')?.address ?? '127.0.0.1';
}

/** What looks like an address or a range and is none is told only by its parts. */
function proxy(text: string): string {
  const [address = '', bits] = text.split('/');
  const family = isIP(address);
  if (family === 0 || Number(bits ?? 0) > (family === 4 ? 32 : 128)) {
    throw new BadConfig(
      `TRUSTED_PROXIES has ${JSON.stringify(text)}, which is no address and no CIDR range.`,
    );
  }
  return text;
}

function listOf(list: string | undefined): string[] {
  return list ? list.split(',') : [];
}

/** A host's name as a label: what is not allowed in one becomes a dash. */
function labelOf(host: string): string {
  return (
    host
      .replace(/[^A-Za-z0-9._-]/g, '-')
      .replace(/^[^A-Za-z0-9]+/, '')
      .slice(0, 40) || 'node'
  );
}

/** New at each boot, so that no two boots are ever taken for one. */
function bootSuffix(): string {
  return randomBytes(6).toString('base64url').replace(/[-_]/g, 'x');
}
