import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Client } from '../../src/load/client.js';
import { textFrame } from '../../src/load/frames.js';
import { connect, type TestClient } from '../support/client.js';
import { login, logout, setUsername, tokenAuth } from '../support/conversation.js';
import { type Account, Fleet, PASSWORD } from '../support/fleet.js';
import type { NodeProcess } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';

/** What nobody asks for: leases, heartbeats, and a node's look at itself and at Redis. */
const BACKGROUND =
  /^(?:\w+ \S*{(?:nodes|meta)}:|publish \S*{bus}:heartbeats|(?:info|ping|time|hello|client|subscribe|smembers|sscan) )/;

/** Guards what things cost in round trips and bytes; how long they take is not looked at. */
describe('what a node costs', () => {
  let redis: RedisServer;
  let fleet: Fleet;
  let node: NodeProcess;
  let accounts: Account[];

  beforeAll(async () => {
    redis = await startRedis({ appendonly: true, args: ['--hash-max-listpack-value', '256'] });
    fleet = new Fleet({ REDIS_URL: redis.url }, redis.client());
    const preload = new URL('../support/keptMemory.mjs', import.meta.url).href;
    node = await fleet.serve({ NODE_OPTIONS: `--import=${preload}` });
    accounts = await fleet.seed(12_000);
  });

  afterAll(async () => {
    await fleet?.stop();
    await redis?.stop();
  });

  describe('in commands to Redis, for one message on its own', () => {
    let client: TestClient;
    let watch: Redis;

    afterEach(async () => {
      watch.disconnect();
      await client.close();
    });

    /** The commands that Redis gets meanwhile, but not those of scripts. */
    async function commandsOf(work: () => Promise<unknown>): Promise<string[]> {
      const commands: string[] = [];
      const monitor = await watch.monitor();
      monitor.on('monitor', (_time: string, args: string[], source: string) => {
        const [name = '', ...rest] = args;
        const command = `${name.toLowerCase()} ${rest[0] ?? ''}`;
        if (source !== 'lua' && !BACKGROUND.test(command))
          commands.push(name.toLowerCase().replace(/^evalsha$/, 'eval')); // a script is sent as a whole once
      });
      await work();
      await watch.echo('over');
      await new Promise<void>((resolve) => {
        const look = () => (commands.includes('echo') ? resolve() : void setTimeout(look, 5));
        look();
      });
      monitor.disconnect();
      return commands.slice(0, commands.indexOf('echo'));
    }

    async function enter(account: Account | null): Promise<void> {
      watch = new Redis(redis.port);
      client = await connect(node.wsUrl);
      if (account) await tokenAuth(client, account.token);
    }

    it('a message without a session: none', async () => {
      await enter(null);
      expect(await commandsOf(() => logout(client))).toEqual([]);
      expect(await commandsOf(() => client.request({ type: 'count' }))).toEqual([]);
      expect(await commandsOf(() => client.request({ type: 'nothing' }))).toEqual([]);
    });

    it('token_auth: two scripts, one that looks and one that commits', async () => {
      await enter(null);
      const enters = () => tokenAuth(client, accounts[0]!.token);
      expect(await commandsOf(enters)).toEqual(['eval', 'eval']);
    });

    it('token_auth where the session of the token has ended before: one script', async () => {
      await enter(accounts[6]!);
      await logout(client);
      const enters = () => tokenAuth(client, accounts[6]!.token);
      expect(await commandsOf(enters)).toEqual(['eval']);
    });

    it('logout: one script', async () => {
      await enter(accounts[1]!);
      expect(await commandsOf(() => logout(client))).toEqual(['eval']);
    });

    it('login: the credentials, the account, one script', async () => {
      await enter(null);
      const enters = () => login(client, accounts[2]!.username, PASSWORD);
      const commands = await commandsOf(enters);
      expect(commands.filter((command) => command === 'eval')).toHaveLength(1);
      expect(commands.length).toBeLessThanOrEqual(3);
    });

    it('count: none', async () => {
      await enter(accounts[3]!);
      expect(await commandsOf(() => client.request({ type: 'count' }))).toEqual([]);
    });

    it('join_queue and leave_queue: one script each', async () => {
      await enter(accounts[4]!);
      const scripts = async (type: string) =>
        (await commandsOf(() => client.request({ type }))).filter((command) => command === 'eval');
      expect(await scripts('join_queue')).toHaveLength(1);
      expect(await scripts('leave_queue')).toHaveLength(1);
    });

    it('set_username: a few', async () => {
      await enter(accounts[5]!);
      const renames = () => setUsername(client, 'somebody new');
      expect((await commandsOf(renames)).length).toBeLessThanOrEqual(7);
    });
  });

  it('puts what many clients want at once into few commits', async () => {
    const before = await batches();
    const clients = await Promise.all(accounts.slice(0, 500).map(() => connect(node.wsUrl)));
    await Promise.all(
      clients.map(async (client, i) => {
        for (let round = 0; round < 5; round += 1) {
          await tokenAuth(client, accounts[i]!.token);
          await logout(client);
        }
      }),
    );
    const after = await batches();
    const operations = after.operations - before.operations;
    expect(operations).toBeGreaterThanOrEqual(500 * 5 * 2);
    expect(operations / (after.count - before.count)).toBeGreaterThan(10);
    await Promise.all(clients.map((client) => client.close()));
  });

  it('keeps little for a session that is held open', async () => {
    await hold(accounts.slice(0, 2000), async () => {}); // what is there only once is there then
    const before = await kept();
    await hold(accounts.slice(2000), async () => {
      const after = await kept();
      expect((after.heap - before.heap) / 10_000).toBeLessThan(1000);
      expect((after.redis - before.redis) / 10_000).toBeLessThan(700);
    });
  });

  async function batches(): Promise<{ operations: number; count: number }> {
    const metrics = await (await fetch(`${node.adminUrl}/metrics`)).text();
    const value = (name: string) => Number(new RegExp(`^${name} (\\d+)`, 'm').exec(metrics)![1]);
    return {
      operations: value('openchamp_commit_batch_operations_sum'),
      count: value('openchamp_commit_batch_operations_count'),
    };
  }

  /** Bytes that are in use: in the heap of the node, and in Redis. */
  async function kept(): Promise<{ heap: number; redis: number }> {
    const seen = node.logs.length;
    node.kill('SIGUSR2');
    const line = await node.logLine(
      (line) => line.msg === 'memory' && node.logs.indexOf(line) >= seen,
      10_000,
    );
    const info = await redis.client().info('memory');
    return { heap: Number(line.heapBytes), redis: Number(/used_memory:(\d+)/.exec(info)![1]) };
  }

  /** Holds a session for each account open meanwhile. */
  async function hold(owners: readonly Account[], work: () => Promise<void>): Promise<void> {
    const clients: Client[] = [];
    const enter = ({ token }: Account) =>
      new Promise<void>((resolve, reject) => {
        const lost = (code: number) => reject(new Error(`closed with ${code}`));
        const endpoint = { url: node.wsUrl, source: null, insecureTls: false, timeoutMs: 10_000 };
        Client.open(endpoint, { message: () => resolve(), pinged() {}, lost }).then((client) => {
          clients.push(client);
          client.send(textFrame(JSON.stringify({ type: 'token_auth', payload: { token } })));
        }, reject);
      });
    for (let i = 0; i < owners.length; i += 64) await Promise.all(owners.slice(i, i + 64).map(enter));
    try {
      await work();
    } finally {
      for (const client of clients) client.close();
    }
  }
});
