import { setTimeout as delay } from 'node:timers/promises';
import type { Result } from '../../src/load/result.js';
import { atMost, type Finding } from './finding.js';
import { ATTACHED, gateways, type LargeTest, metric, until } from './test.js';

/** Of a node; what is usual. */
const LEASE_SECONDS = 6;

/** So long who doesn't ask to resume stays away: until the lease has run out. */
const AWAY_SECONDS = LEASE_SECONDS + 0.5;

const WITHIN_SECONDS = 10;

/** How long clients may take in any case. */
const PATIENCE_MS = 60_000;

const started = 'openchamp_session_events_total{type="session.started"}';
const resumed = 'openchamp_session_events_total{type="session.resumed"}';

/** A node is killed, and its clients come back elsewhere. */
export const recovery: LargeTest = {
  description:
    'one of the nodes is killed; half of its clients come to the others at once with `resume: true`, half when its lease ' +
    'has run out; played by `openchamp load idle` in any case',
  size: { clients: 50_000, nodes: 4, rate: 0, seconds: 0, rounds: 1 },
  async run(stage) {
    const { processes, redis, say } = stage;
    const { clients, nodes: count } = stage.size;
    const accounts = await processes.seed(redis.url, clients);
    const settings = { LEASE_SECONDS: String(LEASE_SECONDS) };
    const [lost, ...left] = await gateways(stage, count, settings);
    await processes.worker(redis.url, settings);
    const target = [lost!, ...left].map(({ url }) => url).join();
    const half = Math.floor(clients / 2);
    const runs = [accounts.slice(0, half), accounts.slice(half)].map((some, i) =>
      processes.load('idle', {
        target,
        accounts: processes.accountsFile(some),
        clients: some.length,
        duration: 86_400,
        ...(i === 1 && { away: AWAY_SECONDS }),
      }),
    );
    say(`${clients} sessions`);
    await Promise.all(runs.map(({ connected }) => connected));
    await until(async () => (await metric([lost!, ...left], ATTACHED)) === clients, 'all clients are in');
    await delay(1000);
    const gone = await metric([lost!], ATTACHED);
    const before = { started: await metric(left, started), resumed: await metric(left, resumed) };
    say(`a node is killed with ${gone} sessions`);
    lost!.kill();
    const areBack = async () => (await metric(left, ATTACHED)) === clients;
    await until(areBack, 'all clients are back', PATIENCE_MS).catch(() => {}); // the findings tell
    const after = { started: await metric(left, started), resumed: await metric(left, resumed) };
    const [atOnce, later] = await Promise.all(runs.map((run) => run.stop()));
    say('verify');
    await until(async () => (await metric(left, ATTACHED)) === 0, 'the sessions are left');
    const verified = await processes.cli(redis.url, 'verify');
    const returned = returnsOf(atOnce!) + returnsOf(later!);
    return {
      findings: [
        atMost(0, `of ${gone} clients, not back`, gone - returned, ''),
        backWithin('those with resume: true are back', atOnce!),
        backWithin('those that come after the lease ran out are back', later!),
        atMost(0, 'clients that have another session than before', after.started - before.started, ''),
        atMost(0, 'clients that have not resumed theirs', gone - (after.resumed - before.resumed), ''),
        atMost(0, 'exit code of `openchamp verify`', verified ?? 1, ''),
      ],
      seen: { gone, atOnce: seenIn(atOnce!), later: seenIn(later!) },
    };
  },
};

function backWithin(what: string, { totals }: Result): Finding {
  return atMost(WITHIN_SECONDS, what, (totals.operations.return?.max ?? Infinity) / 1000, 's after the kill');
}

function returnsOf({ totals }: Result): number {
  return totals.operations.return?.count ?? 0;
}

function seenIn({ setup, totals }: Result): object {
  return { setup, returns: totals.operations.return, errors: totals.errors };
}
