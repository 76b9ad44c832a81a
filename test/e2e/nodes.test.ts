import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Backend, FORMS } from '../support/backends.js';
import { connect, type TestClient } from '../support/client.js';
import { login, logout, tokenAuth, tokenOf } from '../support/conversation.js';
import { AUTH_REQUIRED, authError, authSuccess } from '../support/expected.js';
import { type Account, Fleet, PASSWORD, storyOf } from '../support/fleet.js';
import type { NodeProcess } from '../support/processes.js';

const BAD_TOKEN = authError('Invalid or expired token');
const ENDED_BY_OPERATOR = { type: 'logged_out', payload: { reason: 'operator' } };

describe.each(FORMS)('three nodes on $name', ({ start }) => {
  let backend: Backend;
  let fleet: Fleet;
  let nodes: NodeProcess[];
  let accounts: Account[];

  beforeAll(async () => {
    backend = await start();
    fleet = new Fleet(backend.env, backend.client());
    nodes = [await fleet.serve({ NODE_ID: 'a' })]; // the first one fixes the number of partitions
    nodes.push(...(await Promise.all([fleet.serve({ NODE_ID: 'b' }), fleet.serve({ NODE_ID: 'c' })])));
    accounts = await fleet.seed(30);
  });

  afterAll(async () => {
    await fleet?.stop();
    await backend?.stop();
  });

  const account = () => accounts.pop()!;
  const on = (node: number) => connect(nodes[node]!.wsUrl);

  /** Opens a connection to a node, authenticates it by token, and expects that this worked. */
  async function authenticated(node: number, { username, token }: Account, resume?: boolean) {
    const client = await on(node);
    expect(await tokenAuth(client, token, resume)).toEqual(authSuccess(username, token));
    return client;
  }

  it('takes a token on any node, also after the logout on the one that issued it', async () => {
    const { username } = account();
    const a = await on(0);
    const token = tokenOf(await login(a, username, PASSWORD));
    expect(await logout(a)).toEqual({ type: 'logged_out' });
    for (const node of [1, 2, 0]) {
      const client = await authenticated(node, { username, token });
      expect(await logout(client)).toEqual({ type: 'logged_out' });
    }
    const sessions = await fleet.sessionsOf(token);
    expect(sessions.map(storyOf)).toEqual(Array(4).fill('started logged_out'));
    expect(sessions.map(([first]) => first!.node[0])).toEqual(['a', 'b', 'c', 'a']);
  });

  it('resumes a session on another node under its id', async () => {
    const one = account();
    const a = await authenticated(0, one);
    await a.close();
    await expect
      .poll(async () => (await fleet.sessionsOf(one.token)).map(storyOf))
      .toEqual(['started detached:closed']);
    const b = await authenticated(1, one);
    expect(await logout(b)).toEqual({ type: 'logged_out' });
    expect((await fleet.sessionsOf(one.token)).map(storyOf)).toEqual([
      'started detached:closed resumed logged_out',
    ]);
  });

  it.each([
    ['another node', 1],
    ['the same node', 0],
  ])('takes over an attached session on %s, and closes the old connection with 4001', async (_, node) => {
    const one = account();
    const old = await authenticated(0, one);
    const fresh = await authenticated(node, one, true);
    expect(await old.closed).toMatchObject({ code: 4001 });
    expect(old.received).toHaveLength(1);
    expect(await logout(fresh)).toEqual({ type: 'logged_out' });
    expect((await fleet.sessionsOf(one.token)).map(storyOf)).toEqual([
      'started detached:taken_over resumed logged_out',
    ]);
  });

  it('counts two connections with one token as two sessions', async () => {
    const one = account();
    const clients = [await authenticated(0, one), await authenticated(1, one), await authenticated(1, one)];
    expect(await logout(clients[1]!)).toEqual({ type: 'logged_out' });
    expect((await fleet.sessionsOf(one.token)).map(storyOf)).toEqual([
      'started',
      'started logged_out',
      'started',
    ]);
    expect(await logout(clients[0]!)).toEqual({ type: 'logged_out' });
    expect(await logout(clients[2]!)).toEqual({ type: 'logged_out' });
  });

  it('lists sessions with their nodes', async () => {
    const one = account();
    const clients = [await authenticated(0, one), await authenticated(2, one)];
    const ids = (await fleet.sessionsOf(one.token)).map(([first]) => first!.subject);
    for (const args of [['sessions'], ['sessions', one.username]]) {
      const { code, stdout } = await fleet.cli(...args);
      expect(code).toBe(0);
      const rows = stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.split('\t'));
      const own = rows.filter(([, username]) => username === one.username);
      expect(own.map(([id]) => id).sort()).toEqual([...ids].sort());
      expect(own.map(([, , status]) => status)).toEqual(['attached', 'attached']);
      expect(own.map(([, , , , node]) => node![0]).sort()).toEqual(['a', 'c']);
    }
    await Promise.all(clients.map((client) => client.close()));
  });

  it('lets an operator end the sessions of an account on every node', async () => {
    const one = account();
    const other = await authenticated(1, account());
    const clients = await Promise.all([0, 1, 2].map((node) => authenticated(node, one)));
    const { code } = await fleet.cli('logout', one.username, '--by', 'jane');
    expect(code).toBe(0);
    await Promise.all(clients.map(expectEnded));
    for (const events of await fleet.sessionsOf(one.token)) {
      expect(storyOf(events)).toBe('started logged_out');
      expect(events[1]!.data).toEqual({ by: 'operator', actor: 'jane' });
    }
    // the token stays valid, and the connection can be used again
    expect(await tokenAuth(clients[0]!, one.token)).toEqual(authSuccess(one.username, one.token));
    expect(await logout(clients[0]!)).toEqual({ type: 'logged_out' });
    expect(await logout(other)).toEqual({ type: 'logged_out' });
  });

  it('lets an operator end one session of several', async () => {
    const one = account();
    const [a, b] = [await authenticated(0, one), await authenticated(1, one)];
    const ids = (await fleet.sessionsOf(one.token)).map(([first]) => first!.subject);
    const { code, stdout } = await fleet.cli('logout', ids[1]!);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `session ${ids[1]} ended\n` });
    await expectEnded(b);
    expect(await logout(a)).toEqual({ type: 'logged_out' });
    const again = await fleet.cli('logout', ids[1]!);
    expect(again).toMatchObject({ code: 1, stdout: '' });
    expect(again.stderr).toMatch(/^There is no account or live session .*\n$/);
  });

  it('lets an operator revoke the tokens of an account, which ends its sessions', async () => {
    const one = account();
    const clients = [await authenticated(0, one), await authenticated(1, one)];
    const second = tokenOf(await login(await on(2), one.username, PASSWORD));
    const detached = await authenticated(2, one);
    await detached.close();
    const { code, stdout } = await fleet.cli('logout', one.username, '--revoke-tokens');
    expect(code).toBe(0);
    expect(stdout).toContain('2 tokens revoked');
    await Promise.all(clients.map(expectEnded));
    for (const node of [0, 1, 2]) {
      for (const token of [one.token, second]) {
        expect(await tokenAuth(await on(node), token)).toEqual(BAD_TOKEN);
      }
    }
    const sessions = [...(await fleet.sessionsOf(one.token)), ...(await fleet.sessionsOf(second))];
    expect(sessions).toHaveLength(4);
    for (const events of sessions) expect(events.at(-1)!.data).toMatchObject({ by: 'operator' });
  });

  // a node remembers such tokens; what has happened to them elsewhere meanwhile counts all the same
  describe('and a token that comes back to the node where its session has ended', () => {
    /** Begins a session on the first node and ends it; gives the connection. */
    async function leftBy(one: Account): Promise<TestClient> {
      const client = await authenticated(0, one);
      expect(await logout(client)).toEqual({ type: 'logged_out' });
      return client;
    }

    it('begins a new session, again and again', async () => {
      const one = account();
      const client = await leftBy(one);
      for (let round = 0; round < 2; round += 1) {
        expect(await tokenAuth(client, one.token)).toEqual(authSuccess(one.username, one.token));
        expect(await logout(client)).toEqual({ type: 'logged_out' });
      }
      expect((await fleet.sessionsOf(one.token)).map(storyOf)).toEqual(Array(3).fill('started logged_out'));
    });

    it('resumes the session that it has had on another node since', async () => {
      const one = account();
      const client = await leftBy(one);
      await (await authenticated(1, one)).close();
      const stories = async () => (await fleet.sessionsOf(one.token)).map(storyOf);
      await expect.poll(stories).toEqual(['started logged_out', 'started detached:closed']);
      expect(await tokenAuth(client, one.token)).toEqual(authSuccess(one.username, one.token));
      expect(await stories()).toEqual(['started logged_out', 'started detached:closed resumed']);
    });

    it('is refused once it is revoked', async () => {
      const one = account();
      const client = await leftBy(one);
      const other = await on(1);
      await login(other, one.username, PASSWORD);
      expect(await other.request({ type: 'logout_all' })).toEqual({ type: 'logged_out' });
      expect(await tokenAuth(client, one.token)).toEqual(BAD_TOKEN);
      expect((await fleet.sessionsOf(one.token)).map(storyOf)).toEqual(['started logged_out']);
    });

    it('is told when its account is disabled', async () => {
      const one = account();
      const client = await leftBy(one);
      expect(await fleet.cli('disable', one.username)).toMatchObject({ code: 0 });
      expect(await tokenAuth(client, one.token)).toEqual(authError('Account disabled'));
    });
  });

  it('refuses a node with another number of partitions', async () => {
    const partitions = backend.env.PARTITIONS ?? '1';
    const wrong = new Fleet({ ...fleet.env, PARTITIONS: '4' }, fleet.redis);
    const { code, stderr } = await wrong.cli('serve');
    expect(code).toBe(1);
    expect(stderr).toBe(
      `PARTITIONS is 4, but the data under KEY_PREFIX ${fleet.env.KEY_PREFIX} have ${partitions} partitions; set PARTITIONS=${partitions}.\n`,
    );
  });

  it('has a log in which everything happened once', async () => {
    await fleet.expectConsistent();
  });
});

async function expectEnded(client: TestClient): Promise<void> {
  expect(await client.next()).toEqual(ENDED_BY_OPERATOR);
  expect(await logout(client)).toEqual(AUTH_REQUIRED);
}
