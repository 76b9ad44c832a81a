import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { connect, type TestClient } from '../support/client.js';
import { CliProcess, type Environment } from '../support/cliProcess.js';
import { logout, tokenAuth } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { type Account, Fleet, storiesOf } from '../support/fleet.js';
import { onFreePorts, PortTakenError } from '../support/ports.js';
import { runCli } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { Supervised } from '../support/supervised.js';

/** How long the processes may take until they are ready, in ms. */
const READY_TIMEOUT_MS = 60_000;

const CLIENTS = 40;

let redis: RedisServer;
let running: Supervised | undefined;

beforeAll(async () => {
  redis = await startRedis();
});

afterEach(async () => {
  await running?.stop();
  running = undefined;
});

afterAll(() => redis?.stop());

describe.skipIf(process.platform !== 'linux')('several gateways on one port', () => {
  it('share the connections; sessions work wherever they are; all drain on SIGTERM', async () => {
    const { fleet, wsUrl, adminPorts } = await serve(3);
    const { clients } = await enter(fleet, wsUrl);
    const shares = await Promise.all(
      adminPorts.map((port) => metric(port, 'openchamp_sessions\\{status="attached"\\}')),
    );
    expect(shares.reduce((sum, share) => sum + share)).toBe(CLIENTS);
    expect(shares.filter((share) => share > 0).length).toBeGreaterThan(1);

    const leaving = clients.slice(0, CLIENTS / 2);
    expect(await Promise.all(leaving.map(logout))).toEqual(leaving.map(() => ({ type: 'logged_out' })));
    running!.kill('SIGTERM');
    const closes = await Promise.all(clients.map(({ closed }) => closed));
    expect(new Set(closes.map(({ code }) => code))).toEqual(new Set([1012]));
    expect(await running!.exited).toEqual({ code: 0, signal: null });
    expect(running!.living).toEqual([]);

    const log = await fleet.expectConsistent();
    expect(storiesOf(log)).toEqual({
      'started logged_out': CLIENTS / 2,
      'started detached:drained': CLIENTS / 2,
    });
    const nodes = new Set(log.filter(({ type }) => type === 'session.started').map(({ node }) => node));
    expect(nodes.size).toBe(shares.filter((share) => share > 0).length);
    for (const node of nodes) expect(node).toMatch(/^here-[123]-/);
  });

  it('run Node.js with the flags that `npm start` gives it', async () => {
    await serve(1);
    const { start } = (JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: { start: string } })
      .scripts;
    const [flag] = /--max-semi-space-size=\d+/.exec(start)!;
    const commandLine = readFileSync(`/proc/${running!.started('gateway-1').pid}/cmdline`, 'utf8');
    expect(commandLine.split('\0')).toContain(flag);
  });

  it('go on without one that is killed, and it is started again', async () => {
    const { fleet, wsUrl, adminPorts } = await serve(3, { LEASE_SECONDS: '60' });
    const { clients, accounts } = await enter(fleet, wsUrl);
    const shares = await Promise.all(
      adminPorts.map((port) => metric(port, 'openchamp_sessions\\{status="attached"\\}')),
    );
    const fullest = shares.indexOf(Math.max(...shares));
    const lost: number[] = [];
    clients.forEach(({ closed }, i) => void closed.then(() => lost.push(i)));

    process.kill(running!.started(`gateway-${fullest + 1}`).pid, 'SIGKILL');
    await eventually(() => lost.length === shares[fullest]);
    for (const i of lost) {
      const client = await connect(wsUrl);
      expect(await tokenAuth(client, accounts[i]!.token, true)).toMatchObject({ type: 'auth_success' });
      clients[i] = client;
    }
    await running!.untilStarted(`gateway-${fullest + 1}`, 2);
    expect(await Promise.all(clients.map(logout))).toEqual(clients.map(() => ({ type: 'logged_out' })));
    for (const other of [1, 2, 3].filter((n) => n !== fullest + 1)) {
      expect(running!.started(`gateway-${other}`).times).toBe(1);
    }

    await eventually(async () => {
      const crowd = await Promise.all(Array.from({ length: CLIENTS }, () => connect(wsUrl)));
      const there = await metric(adminPorts[fullest]!, 'openchamp_connections');
      for (const client of crowd) await client.close();
      expect(there).toBeGreaterThan(0);
    });
    expect(storiesOf(await fleet.expectConsistent())).toEqual({
      'started logged_out': CLIENTS - lost.length,
      'started detached:taken_over resumed logged_out': lost.length,
    });
  });

  it('end at once when told twice, with none left behind, nor when their parent is killed', async () => {
    const { fleet, wsUrl } = await serve(2, { DRAIN_SECONDS: '60' });
    const accounts = await fleet.seed(300);
    await Promise.all(
      accounts.map(async ({ token }) => tokenAuth(await connect(wsUrl, { isDeaf: true }), token)),
    );
    running!.kill('SIGTERM');
    await running!.logLine('going away');
    running!.kill('SIGTERM');
    expect(await running!.exited).toEqual({ code: 1, signal: null });
    await untilAllHaveEnded();

    await running!.stop();
    await serve(2);
    running!.kill('SIGKILL');
    await untilAllHaveEnded();
  });

  it('say in one sentence when a port is taken, by others or by gateways like them', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void other.close());
    await once(other, 'listening');
    const { port: taken } = other.address() as AddressInfo;
    const { port, adminPorts } = await serve(2);
    const [free] = await onFreePorts(1, async (ports) => ports);

    for (const theirs of [taken, port]) {
      const late = await tryToServe({ PORT: `${theirs}`, ADMIN_PORT: `${free}` });
      expect(late).toEqual({ code: 1, stdout: '', stderr: cannotListen(theirs, '') });
    }
    const late = await tryToServe({ PORT: `${free}`, ADMIN_PORT: `${adminPorts[1]! - 1}` });
    expect(late).toEqual({ code: 1, stdout: '', stderr: cannotListen(adminPorts[0]!, 'ADMIN_') });
    const alone = await runCli(['serve'], { ...listening(port, free!), REDIS_URL: redis.url });
    expect([alone.code, alone.stderr]).toEqual([1, cannotListen(port, '')]);
  });

  it('never share a port with others that are started at the same time', async () => {
    const fleet = new Fleet({ REDIS_URL: redis.url }, redis.client());
    const [port, ...adminPorts] = await onFreePorts(4, async (ports) => ports);
    const rivals = adminPorts.map((adminPort) => {
      const env = { ...fleet.env, ...listening(port!, adminPort), LOG_LEVEL: 'info' };
      return new Supervised(new CliProcess(['serve', '--workers', '1'], env));
    });
    onTestFinished(() => Promise.all(rivals.map((rival) => rival.stop())).then(() => {}));
    const fates = await Promise.all(
      rivals.map((rival) =>
        Promise.race([rival.logLine('every gateway is ready').then(() => 'ready'), endOf(rival)]),
      ),
    );
    expect(fates.sort()).toEqual([cannotListen(port!, ''), cannotListen(port!, ''), 'ready']);
  });

  it('want ports that are certain, and a number', async () => {
    const refused = async (workers: string, env: Environment) => {
      const { code, stderr } = await runCli(['serve', '--workers', workers], env);
      return [code, stderr];
    };
    expect(await refused('2', { PORT: '0' })).toEqual([
      2,
      'PORT is 0; `serve --workers` needs a certain one.\n',
    ]);
    expect(await refused('2', { ADMIN_PORT: '0' })).toEqual([
      2,
      'ADMIN_PORT is 0; `serve --workers` needs a certain one.\n',
    ]);
    expect(await refused('4', { PORT: '8083', ADMIN_PORT: '8081' })).toEqual([
      2,
      'ADMIN_PORT is 8081; `serve --workers 4` needs the ports 8081 to 8084 for operators, without PORT (8083) among them.\n',
    ]);
    for (const workers of ['0', 'all', '-1', '1000']) {
      const [code, stderr] = await refused(workers, {});
      expect(code).toBe(1);
      expect(stderr).toContain('It must be a whole number from 1 to 999, or `auto`.');
    }
  });
});

interface Served {
  readonly fleet: Fleet;
  readonly port: number;
  readonly wsUrl: string;
  readonly adminPorts: readonly number[];
}

/** Starts gateways on one port and waits until all are ready; they are `running` then. */
function serve(workers: number, env: Environment = {}): Promise<Served> {
  const fleet = new Fleet({ REDIS_URL: redis.url, NODE_ID: 'here', ...env }, redis.client());
  return onFreePorts(2, async ([port, adminPort]) => {
    const settings = { ...fleet.env, ...listening(port!, adminPort!), LOG_LEVEL: 'info' };
    const cli = new CliProcess(['serve', '--workers', `${workers}`], settings);
    running = new Supervised(cli);
    try {
      await cli.logLine(({ msg }) => msg === 'every gateway is ready', READY_TIMEOUT_MS);
    } catch (error) {
      await running.stop();
      throw cli.stderr.startsWith('Cannot listen') ? new PortTakenError(cli.stderr) : error;
    }
    const adminPorts = Array.from({ length: workers }, (_, i) => adminPort! + i);
    return { fleet, port: port!, wsUrl: `ws://127.0.0.1:${port}/ws`, adminPorts };
  });
}

function listening(port: number, adminPort: number): Environment {
  return { HOST: '127.0.0.1', PORT: `${port}`, ADMIN_PORT: `${adminPort}` };
}

function tryToServe(env: Environment): ReturnType<typeof runCli> {
  return runCli(['serve', '--workers', '2'], { HOST: '127.0.0.1', REDIS_URL: redis.url, ...env });
}

function cannotListen(port: number, prefix: string): string {
  return `Cannot listen on 127.0.0.1 port ${port}: it is taken, or not allowed; set ${prefix}PORT (or ${prefix}HOST) to another.\n`;
}

async function endOf(process: Supervised): Promise<string> {
  await process.exited;
  return process.stderr;
}

/** Clients with a session each. */
async function enter(fleet: Fleet, wsUrl: string): Promise<{ clients: TestClient[]; accounts: Account[] }> {
  const accounts = await fleet.seed(CLIENTS);
  const clients = await Promise.all(accounts.map(() => connect(wsUrl)));
  const answers = await Promise.all(clients.map((client, i) => tokenAuth(client, accounts[i]!.token)));
  expect(new Set(answers.map(({ type }) => type))).toEqual(new Set(['auth_success']));
  return { clients, accounts };
}

async function metric(adminPort: number, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1]);
}

async function untilAllHaveEnded(): Promise<void> {
  await eventually(() => expect(running!.living).toEqual([]), { timeoutMs: 20_000, intervalMs: 100 });
}
