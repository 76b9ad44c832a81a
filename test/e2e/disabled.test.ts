import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Backend, FORMS } from '../support/backends.js';
import { connect, type TestClient } from '../support/client.js';
import { login, tokenAuth, tokenOf } from '../support/conversation.js';
import { AUTH_REQUIRED, authError, authSuccess } from '../support/expected.js';
import { type Account, Fleet, PASSWORD, storyOf } from '../support/fleet.js';
import type { NodeProcess } from '../support/processes.js';

const ENDED_BY_OPERATOR = { type: 'logged_out', payload: { reason: 'operator' } };
const BAD_TOKEN = authError('Invalid or expired token');
const BAD_CREDENTIALS = authError('Invalid username or password');
const DISABLED = authError('Account disabled');

describe.each(FORMS)('an account that an operator disables, on $name', ({ start }) => {
  let backend: Backend;
  let fleet: Fleet;
  let nodes: NodeProcess[];
  let account: Account;
  let other: Account;

  beforeAll(async () => {
    backend = await start();
    fleet = new Fleet({ PARTITIONS: '4', ...backend.env }, backend.client());
    nodes = await Promise.all([fleet.serve(), fleet.serve()]);
    [account, other] = (await fleet.seed(2)) as [Account, Account];
  });
  afterAll(async () => {
    await fleet?.stop();
    await backend?.stop();
  });

  const on = (node: number) => connect(nodes[node]!.wsUrl);

  async function enter(node: number, { token }: Account): Promise<TestClient> {
    const client = await on(node);
    expect(await tokenAuth(client, token)).toMatchObject({ type: 'auth_success' });
    return client;
  }

  it('is out on every node at once, and gets in again only when it is enabled', async () => {
    const clients = await Promise.all([enter(0, account), enter(1, account)]);
    const bystander = await enter(0, other);

    expect(await fleet.cli('disable', account.username, '--by', 'jane')).toMatchObject({ code: 0 });
    for (const client of clients) {
      expect(await client.next()).toEqual(ENDED_BY_OPERATOR);
      expect(await client.request({ type: 'logout' })).toEqual(AUTH_REQUIRED);
      expect(await tokenAuth(client, account.token)).toEqual(DISABLED);
      expect(await login(client, account.username, PASSWORD)).toEqual(DISABLED);
      expect(await login(client, account.username, `${PASSWORD}!`)).toEqual(BAD_CREDENTIALS);
    }
    expect(await tokenAuth(bystander, randomUUID())).toEqual(BAD_TOKEN);
    await fleet.expectConsistent();
    expect(bystander.received).toHaveLength(2);
    expect((await fleet.cli('disable', account.username)).stdout).toBe(
      'account disabled\nno session to end\n',
    );

    expect(await fleet.cli('enable', account.username, '--by', 'joe')).toMatchObject({
      code: 0,
      stdout: 'account enabled\n',
    });
    const client = await on(1);
    expect(await tokenAuth(client, account.token)).toEqual(BAD_TOKEN);
    const answer = await login(client, account.username, PASSWORD);
    expect(answer).toEqual(authSuccess(account.username, tokenOf(answer)));

    // disabled once more, it knows only the token that it had by then
    await fleet.cli('disable', account.username, '--by', 'jane');
    expect(await client.next()).toEqual(ENDED_BY_OPERATOR);
    expect(await tokenAuth(client, account.token)).toEqual(BAD_TOKEN);
    expect(await tokenAuth(client, tokenOf(answer))).toEqual(DISABLED);

    const log = await fleet.expectConsistent();
    expect(
      log.flatMap(({ type, data }) => (type.startsWith('account.') ? [[type, data.actor]] : [])),
    ).toEqual(
      expect.arrayContaining([
        ['account.disabled', 'jane'],
        ['account.enabled', 'joe'],
      ]),
    );
    const stories = await fleet.sessionsOf(account.token);
    expect(stories.map(storyOf)).toEqual(['started logged_out', 'started logged_out']);
    for (const events of stories) expect(events.at(-1)!.data).toEqual({ by: 'operator', actor: 'jane' });
  });

  it('has no session left, however many try to log in meanwhile', async () => {
    const [victim] = (await fleet.seed(1, 'victim')) as [Account];
    const clients = await Promise.all(Array.from({ length: 24 }, (_, i) => on(i % 2)));
    let isOver = false;
    const trying = clients.map(async (client, i) => {
      while (!isOver) {
        await (i % 3 === 0 ? login(client, victim.username, PASSWORD) : tokenAuth(client, victim.token));
      }
    });
    const isIn = async () => (await fleet.sessionsOf(victim.token)).length;
    await expect.poll(isIn).toBeGreaterThan(0);
    expect(await fleet.cli('disable', victim.username)).toMatchObject({ code: 0 });
    isOver = true;
    await Promise.all(trying);

    expect((await fleet.cli('sessions', victim.username)).stdout.trimEnd().split('\n')).toHaveLength(1);
    for (const node of [0, 1]) {
      const client = await on(node);
      expect(await tokenAuth(client, victim.token)).toMatchObject({ type: 'auth_error' }); // newer ones may have pushed it out
      expect(await login(client, victim.username, PASSWORD)).toEqual(DISABLED);
    }
    await fleet.expectConsistent();
  });

  it('is not there: says so', async () => {
    for (const command of ['disable', 'enable']) {
      expect(await fleet.cli(command, 'nobody')).toMatchObject({
        code: 1,
        stderr: 'There is no account "nobody".\n',
      });
    }
  });
});
