import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Running, startChild } from './child.js';
import { bodyOf, untilReady } from './ready.js';

/** The ports of a gateway node. */
export interface GatewayPorts {
  readonly name: string;
  readonly port: number;
  readonly adminPort: number;
}

export interface HaproxyOptions {
  /** Where clients are served. */
  readonly host: string;
  readonly port: number;
  /** Of the loopback address. */
  readonly adminPort: number;
  readonly gateways: readonly GatewayPorts[];
  /** A folder for the list of gateways; made if need be. */
  readonly dir: string;
  readonly environment: NodeJS.ProcessEnv;
}

/** What compose uses, too. */
const CONFIGURATION = fileURLToPath(new URL('../../haproxy/haproxy.cfg', import.meta.url));

const GRACE_MS = 2000;
const POLL_MS = 100;

/** HAProxy, with the configuration of the repository, in front of gateways of this machine. */
export class Haproxy {
  readonly operatorsUrl: string;

  constructor(private readonly options: HaproxyOptions) {
    this.operatorsUrl = `http://127.0.0.1:${options.adminPort}`;
  }

  /** Starts it and waits until it answers. @throws Error with one clear sentence */
  async launch(signal: AbortSignal): Promise<Running> {
    const { host, port, adminPort, dir, environment } = this.options;
    mkdirSync(dir, { recursive: true });
    const list = join(dir, 'gateways.cfg');
    writeFileSync(list, this.backend());
    const process = await startChild({
      command: ['haproxy', '-db', '-f', CONFIGURATION, '-f', list],
      environment: {
        ...environment,
        PROXY_HOST: host,
        PROXY_PORT: `${port}`,
        PROXY_OPERATORS: `127.0.0.1:${adminPort}`,
        GATEWAY_NAME: undefined,
      },
      graceMs: GRACE_MS,
    });
    await untilReady('HAProxy', process, `${this.operatorsUrl}/gateways`, signal);
    return process;
  }

  /** Waits until all gateways get new connections, or `timeoutMs` is over. @returns whether they do */
  async servesAll(timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    const wanted = `${this.options.gateways.length}`;
    while ((await bodyOf(`${this.operatorsUrl}/gateways`)) !== wanted) {
      if (performance.now() > deadline) return false;
      await delay(POLL_MS);
    }
    return true;
  }

  private backend(): string {
    const servers = this.options.gateways.map(
      ({ name, port, adminPort }) => `  server ${name} 127.0.0.1:${port} port ${adminPort}\n`,
    );
    return `backend gateways\n${servers.join('')}`;
  }
}

/** @throws Error with one clear sentence when HAProxy can't be run */
export async function checkHaproxy(): Promise<void> {
  await promisify(execFile)('sh', ['-c', 'PATH="$PATH:/usr/sbin:/usr/local/sbin" exec haproxy -v']).catch(
    (error: Error) => {
      throw new Error(
        'haproxy is not installed: install HAProxy 2.6 or later (on Debian and Ubuntu: apt install haproxy)',
        { cause: error },
      );
    },
  );
}
