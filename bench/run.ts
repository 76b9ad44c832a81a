import { writeFileSync } from 'node:fs';
import { arch, cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import type { Loop } from './generator.js';
import type { GroupCommits } from './groupCommit.js';
import { memoryOfSessions } from './memory.js';
import { type Measured, Processes } from './processes.js';
import { latenciesAt } from './rates.js';
import { type Row, summarize, table } from './table.js';

const HELP = `
Compares, in one run: a bare uWebSockets.js echo server, a bare Redis group commit, and this server.

  npm run bench -- [options]

  --rounds N     how often each is measured, in turn (default: 5)
  --seconds S    how long each time (default: 4)
  --json FILE    where the result goes (default: bench.json)

docs/performance.md explains each row.
`;

const CLIENTS = 1000;
const RATES = [1000, 10_000];
const HELD = 18_000;
const WARM_UP_MS = 1500;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    json: { type: 'string', default: 'bench.json' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(HELP.trimStart());
} else {
  await bench(Number(values.rounds), Number(values.seconds), values.json);
}

async function bench(rounds: number, seconds: number, file: string): Promise<void> {
  const processes = new Processes();
  const interrupted = () => void processes.end().then(() => process.exit(130));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupted);
  try {
    const redis = await processes.redis();
    const accounts = await processes.seed(redis.url, HELD);
    const [echo, gateway] = await Promise.all([processes.echo(), processes.gateway(redis.url)]);
    const clients = accounts.slice(0, CLIENTS);
    const window = { warmUpMs: WARM_UP_MS, durationMs: seconds * 1000 };
    const urlOf = ({ port }: { port: number }) => `ws://127.0.0.1:${port}/ws`;
    const shape = { ...window, connections: 200, inFlight: 8 };
    const logout = '{"type":"logout"}';

    const kinds: Record<Row, () => Promise<Measured>> = {
      echo: () => {
        const loop: Loop = { ...shape, url: urlOf(echo), steps: [[{ send: logout, expect: logout }]] };
        return processes.measure('generator', loop, { server: echo.pid });
      },
      refusals: () => {
        const steps = [
          [{ send: logout, expect: '{"type":"error","payload":{"message":"Authentication required"' }],
        ];
        const loop: Loop = { ...shape, url: urlOf(gateway), steps };
        return processes.measure('generator', loop, { server: gateway.pid });
      },
      events: () => {
        const commits: GroupCommits = { ...window, redisUrl: redis.url, lanes: 2, group: 256 };
        return processes.measure('groupCommit', commits, { redis: redis.pid });
      },
      cycles: async () => {
        const steps = clients.map(({ username, token }) => [
          {
            send: `{"type":"token_auth","payload":{"token":"${token}"}}`,
            expect: `{"type":"auth_success","payload":{"username":"${username}"`,
          },
          { send: logout, expect: '{"type":"logged_out"}' },
        ]);
        const loop: Loop = { ...window, url: urlOf(gateway), connections: CLIENTS, inFlight: 1, steps };
        return halved(await processes.measure('generator', loop, { server: gateway.pid, redis: redis.pid }));
      },
    };

    const measured: Record<Row, Measured>[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      process.stderr.write(`round ${round} of ${rounds}\n`);
      const results = {} as Record<Row, Measured>;
      for (const row of Object.keys(kinds) as Row[]) results[row] = await kinds[row]();
      measured.push(results);
    }
    const latencies = [];
    for (const rate of RATES) {
      process.stderr.write(`${rate} cycles a second\n`);
      const load = { rate, seconds: seconds * 2, url: urlOf(gateway), clients: CLIENTS };
      latencies.push(await latenciesAt(processes, load));
    }
    process.stderr.write(`${HELD} sessions\n`);
    const fresh = await processes.gateway(redis.url);
    const memory = await memoryOfSessions(accounts, { gateway: fresh, redis, url: urlOf(fresh) });

    const summary = summarize(measured);
    process.stdout.write(table(summary, latencies, memory));
    const machine = {
      cpu: cpus()[0]?.model,
      cores: cpus().length,
      kernel: `${process.platform} ${release()} ${arch()}`,
      node: process.versions.node,
      redis: /redis_version:(\S+)/.exec(await redis.client.info('server'))?.[1],
    };
    const at = new Date().toISOString();
    const result = { at, machine, rounds, seconds, summary, latencies, memory, measured };
    writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
    redis.client.disconnect();
  } finally {
    await processes.end();
  }
}

/** Two answers make a cycle. */
function halved({ perSecond, cpu }: Measured): Measured {
  const twice = (value: number | null) => (value === null ? null : value * 2);
  return {
    perSecond: perSecond / 2,
    cpu: { server: twice(cpu.server), redis: twice(cpu.redis), load: cpu.load * 2 },
  };
}
