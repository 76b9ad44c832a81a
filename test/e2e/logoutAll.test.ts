import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashToken } from '../../src/store/ids.js';
import { type Backend, FORMS, OUTAGES, SINGLE } from '../support/backends.js';
import { connect } from '../support/client.js';
import { login, logout, tokenAuth, tokenOf } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import {
  AUTH_REQUIRED,
  authError,
  authSuccess,
  LOGGED_OUT,
  SERVICE_UNAVAILABLE,
  SOON,
} from '../support/expected.js';
import { type Account, Fleet, PASSWORD, storyOf } from '../support/fleet.js';
import type { LogEntry } from '../support/log.js';
import { enter, type Player } from '../support/players.js';
import type { NodeProcess } from '../support/processes.js';

const LOGOUT_ALL = { type: 'logout_all' };
const ENDED_BY_ACCOUNT = { type: 'logged_out', payload: { reason: 'account' } };
const BAD_TOKEN = authError('Invalid or expired token');

/** How long an answer may take while Redis hangs, in ms. */
const PATIENCE_MS = 20_000;

describe.each(FORMS)('logout_all, over three nodes on $name,', (form) => {
  let backend: Backend;
  let fleet: Fleet;
  let nodes: NodeProcess[];
  let accounts: Account[];

  beforeAll(async () => {
    backend = await form.start();
    fleet = new Fleet({ PARTITIONS: '4', ...backend.env, COMMIT_TIMEOUT_MS: '1000' }, backend.client());
    nodes = await Promise.all([fleet.serve(), fleet.serve(), fleet.serve()]);
    accounts = await fleet.seed(20);
  });

  afterAll(async () => {
    await fleet?.stop();
    await backend?.stop();
  });

  const player = (node: number, account = accounts.pop()!) => enter(nodes[node]!, account);

  /** One more session of an account, with a token of its own. */
  async function another(node: number, { username }: Account): Promise<Player> {
    const client = await connect(nodes[node]!.wsUrl);
    return { client, username, token: tokenOf(await login(client, username, PASSWORD)) };
  }

  async function left(one: Player): Promise<void> {
    await one.client.close();
    const stories = async () => (await fleet.sessionsOf(one.token)).map(storyOf).join();
    await expect.poll(stories, SOON).toMatch(/detached:closed/);
  }

  /** How the session of a token ended. */
  async function endOf({ token }: Account): Promise<LogEntry | undefined> {
    const sessions = await fleet.sessionsOf(token);
    expect(sessions).toHaveLength(1);
    return sessions[0]!.at(-1);
  }

  async function expectTokensDead(tokens: readonly string[]): Promise<void> {
    for (const node of nodes) {
      const client = await connect(node.wsUrl);
      for (const token of tokens) expect(await tokenAuth(client, token)).toEqual(BAD_TOKEN);
      await client.close();
    }
  }

  /** Waits until every node has found Redis again. */
  async function untilAllAreBack(): Promise<void> {
    for (const node of nodes) {
      const client = await connect(node.wsUrl);
      await expect.poll(() => tokenAuth(client, randomUUID()), SOON).toEqual(BAD_TOKEN);
      await client.close();
    }
  }

  /** Why tokens were revoked, each as often as it was. */
  async function revocationsOf(all: readonly Account[]): Promise<unknown[]> {
    const hashes = new Set(all.map(({ token }) => hashToken(token)));
    const log = await fleet.log();
    const revoked = log.filter(({ type, data }) => type === 'token.revoked' && hashes.has(`${data.token}`));
    return revoked.map(({ data }) => data.reason);
  }

  it('ends the sessions of the account on all nodes, and revokes its tokens', async () => {
    const one = await player(0);
    const gone = await another(2, one);
    await left(gone);
    const others = [await another(0, one), await another(1, one), await another(2, one)];
    const stranger = await player(1);

    one.client.sendText('{"type":"logout_all","payload":{"ignored":true}}');
    expect(await one.client.next()).toEqual(LOGGED_OUT);
    expect(one.client.rawFrames.at(-1)).toBe('{"type":"logged_out"}');
    for (const { client } of others) {
      expect(await client.next()).toEqual(ENDED_BY_ACCOUNT);
      expect(client.rawFrames.at(-1)).toBe('{"type":"logged_out","payload":{"reason":"account"}}');
    }
    for (const { client } of [one, ...others]) {
      expect(await client.request({ type: 'count' })).toEqual(AUTH_REQUIRED);
      expect(await client.request(LOGOUT_ALL)).toEqual(AUTH_REQUIRED);
    }
    const all = [one, gone, ...others];
    await expectTokensDead(all.map(({ token }) => token));

    expect(await revocationsOf(all)).toEqual(all.map(() => 'account'));
    expect(await endOf(one)).toMatchObject({ type: 'session.logged_out', data: { by: 'client' } });
    for (const other of [gone, ...others]) {
      expect(await endOf(other)).toMatchObject({ type: 'session.logged_out', data: { by: 'account' } });
    }

    // nobody else is concerned, and the account can be used again
    expect(await stranger.client.request({ type: 'count' })).toMatchObject({ type: 'player_count' });
    const token = tokenOf(await login(others[1]!.client, one.username, PASSWORD));
    expect(await tokenAuth(one.client, token)).toEqual(authSuccess(one.username, token));
    expect(await logout(stranger.client)).toEqual(LOGGED_OUT);
    expect(await tokenAuth(stranger.client, stranger.token)).toMatchObject({ type: 'auth_success' });
  });

  it('ends several sessions of one token', async () => {
    const one = await player(0);
    const twins = [await player(1, one), await player(2, one)];
    expect(await one.client.request(LOGOUT_ALL)).toEqual(LOGGED_OUT);
    for (const { client } of twins) expect(await client.next()).toEqual(ENDED_BY_ACCOUNT);
    expect(await revocationsOf([one])).toEqual(['account']);
    const stories = (await fleet.sessionsOf(one.token)).map(storyOf);
    expect(stories).toEqual(Array(3).fill('started logged_out'));
  });

  it('needs a session', async () => {
    const client = await connect(nodes[0]!.wsUrl);
    expect(await client.request(LOGOUT_ALL)).toEqual(AUTH_REQUIRED);
  });

  it('leaves nothing for what is sent right behind it', async () => {
    const one = await player(0);
    one.client.sendTogether([LOGOUT_ALL, LOGOUT_ALL, { type: 'logout' }, { type: 'count' }]);
    const answers = [];
    for (let i = 0; i < 4; i++) answers.push(await one.client.next());
    expect(answers).toEqual([LOGGED_OUT, AUTH_REQUIRED, AUTH_REQUIRED, AUTH_REQUIRED]);
  });

  it('may be asked for on several connections at once, and each session ends once', async () => {
    for (let round = 0; round < 5; round++) {
      const one = await player(0);
      const all = [one, await another(1, one), await another(2, one), await another(1, one)];
      const idle = all.pop()!;
      await Promise.all(all.map(async ({ client }) => client.send(LOGOUT_ALL)));
      for (const { client } of all) {
        // whoever is ended by another before he was heard is told of that, and then has no session to end
        const first = await client.next();
        if (first.payload === undefined) expect(first).toEqual(LOGGED_OUT);
        else expect([first, await client.next()]).toEqual([ENDED_BY_ACCOUNT, AUTH_REQUIRED]);
        expect(await logout(client)).toEqual(AUTH_REQUIRED);
      }
      expect(await idle.client.next()).toEqual(ENDED_BY_ACCOUNT);
      await expectTokensDead([one, ...all, idle].map(({ token }) => token));
      for (const each of [...all, idle])
        expect(await endOf(each)).toMatchObject({ type: 'session.logged_out' });
    }
  });

  it('does not let anybody in who comes with a token meanwhile', async () => {
    const one = await player(0);
    const coming = await Promise.all([1, 2, 1, 2].map((node) => connect(nodes[node]!.wsUrl)));
    one.client.send(LOGOUT_ALL);
    const answers = await Promise.all(coming.map((client) => tokenAuth(client, one.token)));
    expect(await one.client.next()).toEqual(LOGGED_OUT);
    for (const [i, client] of coming.entries()) {
      if (answers[i]!.type === 'auth_success') expect(await client.next()).toEqual(ENDED_BY_ACCOUNT);
      else expect(answers[i]).toEqual(BAD_TOKEN);
      expect(await logout(client)).toEqual(AUTH_REQUIRED);
    }
    for (const events of await fleet.sessionsOf(one.token)) expect(storyOf(events)).toMatch(/logged_out$/);
  });

  it('is done, too, if the one who asked for it has gone', async () => {
    const one = await player(0);
    const other = await another(1, one);
    one.client.send(LOGOUT_ALL);
    one.client.destroy('fin');
    expect(await other.client.next()).toEqual(ENDED_BY_ACCOUNT);
    await expectTokensDead([one.token, other.token]);
    await expect.poll(async () => (await endOf(one))!.type, SOON).toBe('session.logged_out');
  });

  if (form === SINGLE) {
    it('goes on while Redis refuses a command, and says which', async () => {
      const one = await player(0);
      const other = await another(1, one);
      await fleet.redis.call('ACL', 'SETUSER', 'default', '-hgetall');
      expect(await one.client.request(LOGOUT_ALL)).toEqual(SERVICE_UNAVAILABLE);
      const refusal = await nodes[0]!.logLine(({ msg }) => msg === 'Redis refuses a command');
      expect(JSON.stringify(refusal)).toContain('hgetall');
      await fleet.redis.call('ACL', 'SETUSER', 'default', '+hgetall');
      expect(await other.client.next(PATIENCE_MS)).toEqual(ENDED_BY_ACCOUNT);
      await expect.poll(async () => (await endOf(one))!.type, SOON).toBe('session.logged_out');
    });

    it.each(OUTAGES)(
      'is not recorded in time while Redis is %s, but it is when that is back',
      async (_, begin, end) => {
        const one = await player(0);
        const other = await another(1, one);
        await begin(backend.server!);
        expect(await one.client.request(LOGOUT_ALL, PATIENCE_MS)).toEqual(SERVICE_UNAVAILABLE);
        expect(await one.client.request({ type: 'count' })).toEqual(AUTH_REQUIRED);
        expect(await other.client.request({ type: 'count' })).toMatchObject({ type: 'player_count' });
        await end(backend.server!);
        expect(await other.client.next(PATIENCE_MS)).toEqual(ENDED_BY_ACCOUNT);
        const ends = async () => [await endOf(one), await endOf(other)].map((event) => event!.type);
        await eventually(async () => expect(await ends()).toEqual(Array(2).fill('session.logged_out')), {
          timeoutMs: PATIENCE_MS,
        });
        await untilAllAreBack();
        await expectTokensDead([one.token, other.token]);
        expect(await revocationsOf([one, other])).toEqual(['account', 'account']);
      },
    );
  }

  it('has left a log that agrees with the records', async () => {
    await fleet.expectConsistent();
  });
});
