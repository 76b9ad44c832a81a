import { setTimeout as sleep } from 'node:timers/promises';
import { added, type Buckets, bucketsIn, ceiling, quantile } from '../../src/load/buckets.js';
import { CYCLE } from '../conversations.js';
import { atLeast, atMost, noErrors } from './finding.js';
import { gateways, type LargeTest } from './test.js';

const SHARE_OF_PEAK = 0.8;

/** How long the peak is measured. */
const PEAK_MS = 10_000;
const WARM_UP_MS = 3000;

/** How late the event loop of a node is under much load, for a long time. */
export const delay: LargeTest = {
  description:
    'how late the event loop of a node is at 80 % of the cycles that it can do (--rate: at another rate)',
  size: { clients: 1000, nodes: 1, rate: 0, seconds: 300, rounds: 1 },
  async run(stage) {
    const { processes, redis, load, say } = stage;
    const { clients, seconds } = stage.size;
    const accounts = await processes.seed(redis.url, clients);
    const [node] = await gateways(stage, 1);
    const { url, metricsUrl, pid } = node!;
    let { rate } = stage.size;
    let peak: number | null = null;
    if (rate === 0) {
      say('the peak');
      const window = { warmUpMs: WARM_UP_MS, durationMs: Math.min(PEAK_MS, seconds * 1000) };
      const loop = { ...window, url, connections: clients, inFlight: 1, steps: CYCLE, accounts };
      peak = (await load.loop(loop, { server: pid, redis: redis.pid })).perSecond;
      rate = Math.round(peak * SHARE_OF_PEAK);
    }
    say(`${rate} cycles a second for ${seconds} s`);
    const delays = async (): Promise<Buckets> =>
      bucketsIn(await (await fetch(metricsUrl)).text(), 'openchamp_event_loop_delay_seconds');
    const playing = load.cycles({ urls: [url], clients, rate, seconds: seconds + (2 * WARM_UP_MS) / 1000 });
    playing.catch(() => {}); // thrown below
    await sleep(WARM_UP_MS);
    const before = await delays();
    await sleep(seconds * 1000);
    const during = added(before, await delays());
    const { done, cycle, errors } = await playing;
    return {
      findings: [
        atMost(10, 'delay of the event loop, p99', quantile(during, 0.99) * 1000, 'ms'),
        atMost(50, 'no delay was above', ceiling(during) * 1000, 'ms'),
        atLeast(98, `of ${rate} cycles a second, done`, 100 * done, '%'),
        noErrors(errors),
      ],
      seen: { peak, rate, cycle, delaysByBoundInSeconds: Object.fromEntries(during) },
    };
  },
};
