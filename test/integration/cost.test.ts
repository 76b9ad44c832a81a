import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Client } from '../../src/load/client.js';
import { textFrame } from '../../src/load/frames.js';
import { connect, type TestClient } from '../support/client.js';
import { login, logout, register, setUsername, tokenAuth } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { type Account, Fleet, PASSWORD } from '../support/fleet.js';
import { monitorCommands } from '../support/monitor.js';
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
    /** What was published meanwhile, but for heartbeats. */
    let published: string[];

    afterEach(async () => {
      watch.disconnect();
      await client.close();
    });

    /** The commands that Redis gets meanwhile, but not those of scripts. */
    async function commandsOf(work: () => Promise<unknown>): Promise<string[]> {
      const commands: string[] = [];
      published = [];
      const endMonitoring = await monitorCommands(redis.port, ({ args, source }) => {
        const [name = '', ...rest] = args;
        const command = `${name.toLowerCase()} ${rest[0] ?? ''}`;
        if (source === 'lua' || BACKGROUND.test(command)) return;
        commands.push(name.toLowerCase().replace(/^evalsha$/, 'eval')); // a script is sent as a whole once
        if (name === 'publish') published.push(rest[1]!);
      });
      await work();
      await watch.echo('over');
      await new Promise<void>((resolve) => {
        const look = () => (commands.includes('echo') ? resolve() : void setTimeout(look, 5));
        look();
      });
      endMonitoring();
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

    it('token_auth: the token, a script that looks for sessions, and one that commits', async () => {
      await enter(null);
      const enters = () => tokenAuth(client, accounts[0]!.token);
      expect(await commandsOf(enters)).toEqual(['mget', 'eval', 'eval']);
    });

    it('token_auth where the session of the token has ended before: one script', async () => {
      await enter(accounts[8]!);
      await logout(client);
      const enters = () => tokenAuth(client, accounts[8]!.token);
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

    it('token_auth that resumes: the same', async () => {
      const { token } = accounts[6]!;
      await enter(accounts[6]!);
      client.destroy();
      await eventually(async () => (await numbersOf('openchamp_sessions{status="attached"}'))[0] === 0);
      client = await connect(node.wsUrl);
      expect(await commandsOf(() => tokenAuth(client, token))).toEqual(['mget', 'eval', 'eval']);
    });

    it('token_auth with resume: true that takes a session over: the same', async () => {
      const { token } = accounts[7]!;
      await enter(accounts[7]!);
      const old = client;
      client = await connect(node.wsUrl);
      expect(await commandsOf(() => tokenAuth(client, token, true))).toEqual(['mget', 'eval', 'eval']);
      expect(await old.closed).toMatchObject({ code: 4001 });
    });

    it('register: whether the name is free, one script', async () => {
      await enter(null);
      const commands = await commandsOf(() => register(client, 'somebody else', PASSWORD));
      expect(commands.filter((command) => command === 'eval')).toHaveLength(1);
      expect(commands.length).toBeLessThanOrEqual(3);
    });

    it('logout_all: three scripts, however many sessions there are; a look and a publish for each', async () => {
      const account = accounts[1999]!; // its token is not used by what follows
      await enter(account);
      const others = await Promise.all([0, 1, 2, 3].map(() => connect(node.wsUrl)));
      for (const other of others) await tokenAuth(other, account.token);
      const commands = await commandsOf(() => client.request({ type: 'logout_all' }));
      expect(commands.filter((command) => command === 'eval').length).toBeLessThanOrEqual(3);
      expect(commands.length).toBeLessThanOrEqual(5 + 2 * others.length);
      for (const other of others) await other.close();
    });

    it('global_chat: one script for the limit and one publish, however many hear it, of the frame that they get', async () => {
      await enter(accounts[9]!);
      const others = await Promise.all([0, 1, 2].map(() => connect(node.wsUrl)));
      for (const [i, other] of others.entries()) await tokenAuth(other, accounts[10 + i]!.token);
      const says = async () => {
        await client.request({ type: 'global_chat', payload: 'hello' });
        for (const other of others) await other.next();
      };
      expect(await commandsOf(says)).toEqual(['eval', 'publish']);
      expect(published).toEqual([client.rawFrames.at(-1)]);
      for (const other of others) {
        expect(other.rawFrames.at(-1)).toBe(published[0]);
        await other.close();
      }
    });

    it('private_chat: the limit, who that is, his sessions, and one publish for each node', async () => {
      await enter(accounts[9]!);
      const [target, message] = [accounts[10]!.username, 'hello'];
      const others = await Promise.all([0, 1].map(() => connect(node.wsUrl)));
      for (const other of others) await tokenAuth(other, accounts[10]!.token);
      const says = async () => {
        client.send({ type: 'private_chat', payload: { target, message } });
        for (const other of others) await other.next();
      };
      const commands = await commandsOf(says);
      expect(commands.filter((command) => command === 'publish')).toHaveLength(1);
      expect(commands.length).toBeLessThanOrEqual(4);
      for (const other of others) await other.close();
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
      expect((after.heap - before.heap) / 10_000).toBeLessThan(850);
      expect((after.resident - before.resident) / 10_000).toBeLessThan(5000); // some of which malloc merely keeps
      expect((after.redis - before.redis) / 10_000).toBeLessThan(700);
    });
  });

  async function batches(): Promise<{ operations: number; count: number }> {
    const name = 'openchamp_commit_batch_operations';
    const [operations, count] = await numbersOf(`${name}_sum`, `${name}_count`);
    return { operations: operations!, count: count! };
  }

  /** Metrics of the node, by their names with their labels. */
  async function numbersOf(...names: string[]): Promise<number[]> {
    const lines = (await (await fetch(`${node.adminUrl}/metrics`)).text()).split('\n');
    return names.map((name) => Number(lines.find((line) => line.startsWith(`${name} `))!.slice(name.length)));
  }

  /** Bytes that are in use: in the heap of the node, in the node in all, and in Redis. */
  async function kept(): Promise<{ heap: number; resident: number; redis: number }> {
    const seen = node.logs.length;
    node.kill('SIGUSR2');
    const line = await node.logLine(
      (line) => line.msg === 'memory' && node.logs.indexOf(line) >= seen,
      10_000,
    );
    const info = await redis.client().info('memory');
    const [heap, resident] = [Number(line.heapBytes), Number(line.residentBytes)];
    return { heap, resident, redis: Number(/used_memory:(\d+)/.exec(info)![1]) };
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
