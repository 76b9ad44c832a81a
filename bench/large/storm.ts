import { spread } from '../table.js';
import { atLeast, noErrors } from './finding.js';
import { gateways, type LargeTest, metric, until } from './test.js';

const DETACHES = 'openchamp_session_events_total{type="session.detached"}';

/** All clients of a node come back to their sessions at once. */
export const storm: LargeTest = {
  description: 'clients connect to one node, upgrade and resume their sessions by token, as fast as it goes',
  size: { clients: 19_000, nodes: 1, rate: 0, seconds: 0, rounds: 3 },
  async run(stage) {
    const { processes, redis, load, say } = stage;
    const { clients, rounds } = stage.size;
    await processes.seed(redis.url, clients);
    const [node] = await gateways(stage, 1);
    const rates: number[] = [];
    const errors: Record<string, number> = {};
    for (let round = 0; round <= rounds; round += 1) {
      say(round === 0 ? 'sessions begin' : `storm ${round} of ${rounds}`);
      const arrival = await load.arrive(node!.url, clients);
      if (round > 0) rates.push(arrival.perSecond);
      for (const [problem, times] of Object.entries(arrival.errors)) {
        errors[problem] = (errors[problem] ?? 0) + times;
      }
      const left = clients * (round + 1);
      await until(async () => (await metric([node!], DETACHES)) >= left, 'it is recorded that all have left');
    }
    const arrivals = spread(rates);
    return {
      findings: [
        atLeast(12_000, `${clients} clients come back (median of ${rounds})`, arrivals.median, 'a second'),
        noErrors(errors),
      ],
      seen: { rates },
    };
  },
};
