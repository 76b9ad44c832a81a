import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { Crowd } from '../faults/harness/crowd.js';
import { expectTruth } from '../faults/harness/truth.js';
import { connect } from '../support/client.js';
import { tokenAuth } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { tempDir } from '../support/guardian.js';
import { HAS_HAPROXY, LocalCluster } from '../support/localCluster.js';
import { runCli } from '../support/processes.js';

const CLIENTS = 200;

/** How long what takes a crowd may take, in ms: many things run beside it. */
const LIMIT_MS = 150_000;

let cluster: LocalCluster | undefined;
let crowd: Crowd | undefined;

afterEach(async () => {
  for (const player of crowd?.players ?? []) player.isOver = true;
  await cluster?.stop();
  cluster = undefined;
  crowd = undefined;
});

describe.skipIf(!HAS_HAPROXY)('a cluster on one machine, behind HAProxy,', () => {
  it(
    'replaces its nodes one after the other: no session is lost, every request that was read is answered',
    async () => {
      const { fleet, wsUrl, httpUrl } = await start(['--nodes', '3'], {
        PARTITIONS: '4',
        DRAIN_SECONDS: '1',
      });
      crowd = await gather({ breaksOff: false });
      let isOver = false;
      const asking = askAgainAndAgain(`${httpUrl}/health`, () => isOver);

      cluster!.kill('SIGUSR2');
      await cluster!.logLine('every gateway and worker has been replaced');
      await crowd.everybodyPlays(1);
      isOver = true;

      expect(await asking).toEqual(new Set(['OK'])); // HAProxy always found a node
      for (const name of ['gateway-1', 'gateway-2', 'gateway-3', 'worker-1']) {
        expect(cluster!.started(name).times, name).toBe(2);
      }
      expect(new Set(crowd.players.flatMap(({ closes }) => closes.map(({ code }) => code)))).toEqual(
        new Set([1012]),
      );
      await crowd.end();
      const log = await expectTruth(fleet, crowd, { nodes: [{ wsUrl }], isExact: true, drains: true });
      const reasons = new Set(log.map(({ data }) => data.reason));
      expect([...reasons]).toContain('drained');
      expect([...reasons]).not.toContain('node_lost');
      expect(cluster!.logs.filter(({ msg }) => msg === 'not every gateway gets new connections')).toEqual([]);
    },
    LIMIT_MS,
  );

  it(
    'brings up again whatever is killed, and its clients go on',
    async () => {
      const { fleet, wsUrl } = await start(['--nodes', '2'], { LEASE_SECONDS: '2' });
      crowd = await gather({});
      const names = ['gateway-1', 'worker-1', 'haproxy', 'redis'];
      for (const name of names) process.kill(cluster!.started(name).pid, 'SIGKILL');
      for (const name of names) await cluster!.untilStarted(name, 2);
      await crowd.everybodyPlays(1);
      await crowd.end();
      await expectTruth(fleet, crowd, { nodes: [{ wsUrl }], promisesDie: true, losesNodes: true });
      expect(cluster!.started('gateway-2').times).toBe(1);
    },
    LIMIT_MS,
  );

  it("knows its clients' addresses, and ends everything in order when it is told to", async () => {
    const { wsUrl, fleet } = await start(['--nodes', '1'], { LOG_LEVEL: 'debug' });
    const [account] = await fleet.seed(1);
    const client = await connect(wsUrl, { localAddress: '127.0.0.9' });
    expect(await tokenAuth(client, account!.token)).toMatchObject({ type: 'auth_success' });
    const opened = cluster!.logs.filter(({ msg }) => msg === 'connection opened');
    expect(opened.map(({ address }) => address)).toEqual(['127.0.0.9']);

    cluster!.kill('SIGTERM');
    expect(await client.closed).toMatchObject({ code: 1012 });
    expect(await cluster!.exited).toEqual({ code: 0, signal: null });
    expect(cluster!.living).toEqual([]);
  });

  it('is not ended by a SIGUSR2 that comes too early: it replaces its nodes once it is ready', async () => {
    await start(['--nodes', '1'], {}, 'SIGUSR2');
    await cluster!.logLine('every gateway and worker has been replaced');
    for (const name of ['gateway-1', 'worker-1']) expect(cluster!.started(name).times, name).toBe(2);
  });

  it('ends at once when it is told twice, and leaves nothing behind when it is killed', async () => {
    const patient = { DRAIN_SECONDS: '60' };
    const { fleet, wsUrl } = await start(['--nodes', '1'], patient);
    const accounts = await fleet.seed(300);
    await Promise.all(
      accounts.map(async ({ token }) => tokenAuth(await connect(wsUrl, { isDeaf: true }), token)),
    );
    cluster!.kill('SIGTERM');
    await cluster!.logLine('going away');
    cluster!.kill('SIGTERM');
    expect(await cluster!.exited).toEqual({ code: 1, signal: null });
    await untilAllHaveEnded();

    await cluster!.stop();
    await start(['--nodes', '1']);
    cluster!.kill('SIGKILL');
    await untilAllHaveEnded();
  });

  it('says in one sentence what keeps it from starting', async () => {
    const elsewhere = await runCli(['cluster'], { REDIS_URL: 'redis://127.0.0.1' });
    expect(elsewhere.code).toBe(2);
    expect(elsewhere.stderr).toBe('`cluster` brings its own Redis; unset the REDIS_* variables.\n');

    const other = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void other.close());
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const late = await runCli(['cluster'], { HOST: '127.0.0.1', PORT: `${port}`, DATA_DIR: tempDir() });
    expect(late.code).toBe(1);
    expect(late.stderr).toBe(
      `Cannot listen on 127.0.0.1 port ${port}: it is taken, or not allowed; set PORT (or HOST) to another.\n`,
    );
  });
});

async function start(
  ...[args, env = {}, early]: Parameters<typeof LocalCluster.start>
): Promise<LocalCluster> {
  cluster = await LocalCluster.start(args, { LOG_LEVEL: 'info', GAME_COMMAND: 'sleep 1', ...env }, early);
  return cluster;
}

/** Clients that go on whatever happens. */
async function gather(options: { breaksOff?: boolean }): Promise<Crowd> {
  const accounts = await cluster!.fleet.seed(CLIENTS);
  const urls = () => [cluster!.wsUrl];
  const seed = Math.floor(Math.random() * 2 ** 31);
  console.info(`SEED=${seed}`);
  const gathered = new Crowd({ accounts, urls, seed, ...options });
  await gathered.everybodyPlays(1);
  return gathered;
}

/** What was answered; errors by their names. */
async function askAgainAndAgain(url: string, isOver: () => boolean): Promise<Set<string>> {
  const answers = new Set<string>();
  while (!isOver()) {
    const answer = fetch(url).then((response) => response.text());
    answers.add(await answer.catch(String));
  }
  return answers;
}

async function untilAllHaveEnded(): Promise<void> {
  await eventually(() => expect(cluster!.living).toEqual([]), { timeoutMs: 20_000, intervalMs: 100 });
}
