import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Account } from '../src/load/accounts.js';
import { BARE_CYCLE, CYCLE, ECHO, REFUSAL } from './conversations.js';
import { forgetEvents } from './events.js';
import { GivenLoad } from './givenLoad.js';
import type { GroupCommits } from './groupCommit.js';
import type { LoadMaker, RateLatencies } from './loadMaker.js';
import { machine } from './machine.js';
import { BEFORE, type MemoryOfSessions, memoryOfSessions } from './memory.js';
import { OwnLoad } from './ownLoad.js';
import { type Measured, Processes, type RedisServer, type Server } from './processes.js';
import { type Round, type Row, summarize, table } from './table.js';

const HELP = `
Compares, in one run: a bare uWebSockets.js echo server, a bare Redis group commit, and this server.

  npm run bench -- [options]

  --rounds N          how often each is measured, in turn (default: 5)
  --seconds S         how long each time (default: 4)
  --sessions N        sessions that are held open, after 4,000 others (default: 14000)
  --generator PATH    make the load by this program; bench/givenLoad.ts says which options it has to take
  --json FILE         where the result goes (default: bench.json)

docs/performance.md explains each row. \`npm run bench:large\` has what takes more clients or more nodes.
`;

const CLIENTS = 1000;
const RATES = [1000, 10_000];
/** Cycles at a rate go on for so many times `--seconds`: how a thousand clients connect is soon forgotten then. */
const RATE_WINDOWS = 5;
const WARM_UP_MS = 1500;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    sessions: { type: 'string', default: '14000' },
    generator: { type: 'string' },
    json: { type: 'string', default: 'bench.json' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(HELP.trimStart());
} else {
  await bench();
}

async function bench(): Promise<void> {
  const [rounds, seconds, sessions] = [values.rounds, values.seconds, values.sessions].map(Number) as [
    number,
    number,
    number,
  ];
  const processes = new Processes();
  processes.endOnSignals();
  try {
    const load = values.generator ? new GivenLoad(values.generator, processes) : new OwnLoad(processes);
    const [redis, bareRedis] = [await processes.redis(), await processes.redis()];
    const accounts = await processes.seed(redis.url, CLIENTS);
    const measureRound = await rowsOf(processes, load, { redis, bareRedis, accounts, seconds });
    const measured: Round[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      process.stderr.write(`round ${round} of ${rounds}\n`);
      measured.push({ ...(await measureRound()), memory: await memory(processes, sessions) });
    }
    const summary = summarize(measured);
    process.stdout.write(table(summary));
    const at = new Date().toISOString();
    const options = { rounds, seconds, sessions, generator: values.generator ?? null };
    const result = { at, machine: await machine(redis.client), options, summary, measured };
    writeFileSync(values.json, `${JSON.stringify(result, null, 2)}\n`);
  } finally {
    await processes.end();
  }
}

interface Setting {
  readonly redis: RedisServer;
  readonly bareRedis: RedisServer;
  readonly accounts: readonly Account[];
  readonly seconds: number;
}

/** Starts the servers that are compared. @returns measures each of them once */
async function rowsOf(
  processes: Processes,
  load: LoadMaker,
  { redis, bareRedis, accounts, seconds }: Setting,
): Promise<() => Promise<Omit<Round, 'memory'>>> {
  const [echo, bare, gateway] = await Promise.all([
    processes.echo(),
    processes.bareCycles(bareRedis.url),
    processes.gateway(redis.url),
  ]);
  const window = { warmUpMs: WARM_UP_MS, durationMs: seconds * 1000 };
  const wide = { ...window, connections: 200, inFlight: 8, accounts: [] };
  const single = { ...window, connections: CLIENTS, inFlight: 1, accounts };
  const urlOf = ({ port }: Server) => `ws://127.0.0.1:${port}/ws`;
  const kinds: Record<Row, () => Promise<Measured>> = {
    echo: () => load.loop({ ...wide, url: urlOf(echo), steps: ECHO }, { server: echo.pid }),
    refusals: () => load.loop({ ...wide, url: gateway.url, steps: REFUSAL }, { server: gateway.pid }),
    events: () => {
      const commits: GroupCommits = { ...window, redisUrl: bareRedis.url, lanes: 2, group: 256 };
      return processes.measure('groupCommit', commits, { redis: bareRedis.pid });
    },
    bareCycles: () => {
      const pids = { server: bare.pid, redis: bareRedis.pid };
      return load.loop({ ...single, url: urlOf(bare), steps: BARE_CYCLE }, pids);
    },
    cycles: () =>
      load.loop({ ...single, url: gateway.url, steps: CYCLE }, { server: gateway.pid, redis: redis.pid }),
  };
  return async () => {
    const rows = {} as Record<Row, Measured>;
    for (const row of Object.keys(kinds) as Row[]) {
      rows[row] = await kinds[row]();
      await forgetEvents(bareRedis.client);
    }
    const latencies: RateLatencies[] = [];
    for (const rate of RATES) {
      latencies.push(
        await load.cycles({ urls: [gateway.url], clients: CLIENTS, rate, seconds: seconds * RATE_WINDOWS }),
      );
    }
    return { rows, latencies };
  };
}

/** On a Redis and a gateway of its own: nothing is there before. */
async function memory(processes: Processes, sessions: number): Promise<MemoryOfSessions> {
  const own = processes.apart();
  try {
    const redis = await own.redis();
    const accounts = await own.seed(redis.url, BEFORE + sessions);
    return await memoryOfSessions(accounts, { gateway: await own.gateway(redis.url), redis });
  } finally {
    await own.end();
  }
}
