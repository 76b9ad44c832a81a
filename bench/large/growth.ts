import { setTimeout as delay } from 'node:timers/promises';
import { cpuSeconds, type Gateway } from '../processes.js';
import { spread } from '../table.js';
import { atMost, noErrors } from './finding.js';
import { ATTACHED, DETACHED, gateways, type LargeTest, metric, type Stage, until } from './test.js';

/** Clients that play the cycles whose cost is looked at; so many sessions there are at most without the others. */
const PLAYING = 1000;

const WARM_UP_MS = 3000;

/** Sessions that are left are over at once. */
const SETTINGS = { RESUME_SECONDS: '1' };

/** What a cycle costs when there are few sessions, and when there are many. */
export const growth: LargeTest = {
  description:
    'CPU time of a cycle at a rate, with 1,000 sessions (at most) and with many more that are held open',
  size: { clients: 100_000, nodes: 6, rate: 6000, seconds: 15, rounds: 3 },
  async run(stage) {
    const { processes, redis, say } = stage;
    const { clients, nodes: count, rounds } = stage.size;
    const playing = Math.min(PLAYING, Math.floor(clients / 10));
    const accounts = await processes.seed(redis.url, clients);
    const others = processes.accountsFile(accounts.slice(playing));
    const nodes = await gateways(stage, count, SETTINGS);
    const worker = await processes.worker(redis.url, SETTINGS);
    const urls = nodes.map(({ url }) => url).join();
    const seen: { few: number; many: number }[] = [];
    const errors: Record<string, number> = {};
    for (let round = 1; round <= rounds; round += 1) {
      say(`round ${round} of ${rounds}: ${playing} sessions`);
      const few = await costOfCycle(stage, nodes, playing, errors);
      say(`${clients} sessions`);
      const options = { target: urls, accounts: others, clients: clients - playing, duration: 86_400 };
      const holding = processes.load('idle', options);
      await holding.connected;
      const many = await costOfCycle(stage, nodes, playing, errors);
      seen.push({ few, many });
      const { setup, totals } = await holding.stop();
      for (const [problem, times] of Object.entries({ ...setup.errors, ...totals.errors }))
        errors[`held: ${problem}`] = times;
      await until(async () => (await metric(nodes, ATTACHED)) === 0, 'the sessions are left');
      await until(async () => (await metric([worker], DETACHED)) === 0, 'the sessions are over', 600_000);
    }
    const { median, least, most } = spread(seen.map(({ few, many }) => many / few));
    const extremes = `${least.toFixed(2)} to ${most.toFixed(2)}`;
    return {
      findings: [
        atMost(
          1.1,
          `a cycle with ${clients} sessions to one with ${playing} (${extremes})`,
          median,
          'times the CPU',
        ),
        noErrors(errors),
      ],
      seen: { microsecondsOfCycles: seen },
    };
  },
};

/** CPU time of all nodes and Redis for each cycle that was done meanwhile, in µs. */
async function costOfCycle(
  { redis, load, size: { rate, seconds } }: Stage,
  nodes: readonly Gateway[],
  clients: number,
  errors: Record<string, number>,
): Promise<number> {
  const look = async () => ({
    cpu: [redis, ...nodes].reduce((sum, { pid }) => sum + cpuSeconds(pid), 0),
    cycles: await metric(nodes, 'openchamp_logouts_total{by="client"}'),
  });
  const before = await look();
  const urls = nodes.map(({ url }) => url);
  const playing = load.cycles({ urls, clients, rate, seconds: seconds + WARM_UP_MS / 1000 });
  playing.catch(() => {}); // thrown below
  await until(
    async () => (await metric(nodes, 'openchamp_logouts_total{by="client"}')) > before.cycles,
    'cycles begin',
  );
  await delay(WARM_UP_MS);
  const first = await look();
  await delay(seconds * 900); // ends before the cycles do
  const last = await look();
  Object.assign(errors, (await playing).errors);
  return ((last.cpu - first.cpu) / (last.cycles - first.cycles)) * 1e6;
}
