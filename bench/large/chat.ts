import { atLeast, atMost, noErrors } from './finding.js';
import { gateways, type LargeTest } from './test.js';

/** Clients that send, by turns. */
const SENDERS = 100;

/** Everybody hears what some say to all. */
export const chat: LargeTest = {
  description:
    'global chat: what some say to all is received by all; made by `openchamp load chat` in any case',
  size: { clients: 10_000, nodes: 4, rate: 60, seconds: 20, rounds: 1 },
  async run(stage) {
    const { processes, redis, say } = stage;
    const { clients, nodes: count, rate, seconds } = stage.size;
    await processes.seed(redis.url, clients);
    const nodes = await gateways(stage, count);
    say(`${rate} messages a second to ${clients} clients`);
    const run = processes.load('chat', {
      target: nodes.map(({ url }) => url).join(),
      accounts: processes.tokens,
      clients,
      senders: Math.min(SENDERS, clients),
      rate,
      duration: seconds,
    });
    const result = await run.result();
    const { delivery } = result.totals.operations;
    const counts = result.seconds
      .slice(1, seconds - 1)
      .map(({ operations }) => operations.delivery?.count ?? 0);
    const perSecond = counts.reduce((sum, received) => sum + received, 0) / counts.length;
    const missing = Math.round(rate * seconds) * result.setup.connected - (delivery?.count ?? 0);
    return {
      findings: [
        atLeast(500_000, `deliveries to ${clients} clients on ${count} nodes`, perSecond, 'a second'),
        atMost(0, 'deliveries that are missing', missing, ''),
        noErrors({ ...result.setup.errors, ...result.totals.errors }),
      ],
      seen: { perSecond: counts, delivery, generatorCpuSeconds: result.generator.cpuSeconds },
    };
  },
};
