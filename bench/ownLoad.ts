import type { Loop } from './generator.js';
import type { Arrival, Cycles, LoadMaker, RateLatencies, Watched } from './loadMaker.js';
import type { Measured, Processes } from './processes.js';

/** Makes load by `openchamp load`, and by a simple loop of the same WebSocket client. */
export class OwnLoad implements LoadMaker {
  constructor(private readonly processes: Processes) {}

  async loop(loop: Loop, watched: Watched): Promise<Measured> {
    const answers = await this.processes.measure('generator', loop, watched);
    const rounds = loop.steps.length;
    const { perSecond, cpu } = answers;
    const each = (time: number | null) => (time === null ? null : time * rounds);
    return {
      perSecond: perSecond / rounds,
      cpu: { server: each(cpu.server), redis: each(cpu.redis), load: cpu.load * rounds },
    };
  }

  async cycles({ urls, clients, rate, seconds }: Cycles): Promise<RateLatencies> {
    const options = {
      target: urls.join(','),
      accounts: this.processes.tokens,
      clients,
      rate,
      duration: seconds,
    };
    const { totals, generator } = await this.processes.load('logout', options).result();
    const { cycle } = totals.operations;
    if (!cycle) throw new Error(`No cycle was done: ${JSON.stringify(totals.errors)}`);
    return {
      rate,
      done: cycle.count / Math.round(rate * seconds),
      cycle,
      lateP99: generator.late?.p99 ?? null,
      errors: totals.errors,
    };
  }

  async arrive(url: string, clients: number): Promise<Arrival> {
    const options = { target: url, accounts: this.processes.tokens, clients, duration: 0.1 };
    const { setup, totals } = await this.processes.load('idle', options).result();
    return { perSecond: setup.connected / setup.seconds, errors: { ...setup.errors, ...totals.errors } };
  }
}
