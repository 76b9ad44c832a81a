import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readConfig } from '../../src/config/config.js';
import { type Deployment, openDeployment } from '../../src/deployment.js';
import type { Attachment } from '../../src/session/state.js';
import { isLive } from '../../src/session/state.js';
import { type Commit, noChange, operationOf } from '../../src/store/change.js';
import { bucketOfId, bucketOfUsername, hashName, hashToken, newSessionId } from '../../src/store/ids.js';
import { makeToken } from '../../src/store/tokens.js';
import { type Backend, CLUSTER, SINGLE } from '../support/backends.js';
import { uniquePrefix } from '../support/prefix.js';

const HASH = '$argon2id$not-a-real-one';

describe.each([SINGLE, CLUSTER])('the stores on $name', ({ start }) => {
  let backend: Backend;
  let prefix: string;
  /** Two nodes of one deployment. */
  let one: Deployment;
  let two: Deployment;

  beforeAll(async () => {
    backend = await start();
  });

  beforeEach(async () => {
    prefix = uniquePrefix();
    [one, two] = [await open(), await open()];
  });

  afterEach(() => {
    one.close();
    two.close();
  });

  afterAll(() => backend?.stop());

  function open(): Promise<Deployment> {
    const config = readConfig({ ...backend.env, KEY_PREFIX: prefix });
    return openDeployment({
      config,
      target: config.redis!,
      logger: pino({ level: 'silent' }),
      patienceMs: 5000,
      decidesPartitions: true,
    });
  }

  const commitOf =
    ({ committer }: Deployment): Commit =>
    (operation) =>
      committer.commit(operation);

  function tokenFor(username: string, tokenTtlMs = 3_600_000) {
    const settings = { tokenTtlMs, tokensPerAccount: 3 };
    return makeToken(bucketOfUsername(username), settings, one.clock.now());
  }

  async function register(deployment: Deployment, username: string) {
    const { token, record } = tokenFor(username);
    const credentials = deployment.accounts.credentials(username, HASH);
    const at = await deployment.accounts.register(credentials, record, noChange, commitOf(deployment));
    return at === null ? null : { ...credentials, token };
  }

  async function begin(deployment: Deployment, accountId: string, token: string, attachment: Attachment) {
    const id = newSessionId(accountId);
    const command = { type: 'start', accountId, token: hashToken(token), attachment } as const;
    const { change } = deployment.sessions.begin(id, command);
    await deployment.committer.commit(operationOf(deployment.keys.partitionOf(bucketOfId(id)), change));
    return id;
  }

  it('a username is registered once, whoever is first', async () => {
    for (const username of ['jane.doe', '日本語', 'with space']) {
      const attempts = Array.from({ length: 50 }, (_, i) => register(i % 2 === 0 ? one : two, username));
      const registered = (await Promise.all(attempts)).filter((account) => account !== null);
      expect(registered.length).toBe(1);
      expect(await two.accounts.find(username)).toMatchObject({
        username,
        accountId: registered[0]!.accountId,
        passwordHash: HASH,
      });
    }
    expect(await one.accounts.find('Jane.doe')).toBeNull();
  });

  it('a token is found in any letter case until it is revoked, and then for nothing that is about to be committed', async () => {
    const { token, accountId, username } = (await register(one, 'jane.doe'))!;
    const found = await two.tokens.find(token.toUpperCase());
    expect(found).toMatchObject({ accountId, username });
    expect(await one.tokens.find(tokenFor('jane.doe').token)).toBeNull();

    const before = await one.tokens.find(token);
    const result = await one.committer.commit(operationOf(one.tokens.partitionOf(before!), before!.use));
    expect(result.committed).toBe(true);

    const revoke = { type: 'revokeTokens', reason: 'operator' } as const;
    await two.accounts.execute(accountId, username, revoke, noChange, commitOf(two));
    expect(await one.tokens.find(token)).toBeNull();
    const late = await one.committer.commit(operationOf(one.tokens.partitionOf(before!), before!.use));
    expect(late.committed).toBe(false);
  });

  it('a token ends with its time', async () => {
    const { accountId, username } = (await register(one, 'jane.doe'))!;
    const { token, record } = tokenFor(username, 300);
    const issue = { type: 'issueToken', ...record } as const;
    await one.accounts.execute(accountId, username, issue, noChange, commitOf(one));
    expect(await two.tokens.find(token)).not.toBeNull();
    await expect.poll(() => two.tokens.find(token)).toBeNull();
  });

  it('the username of an account is known also when it has no token, or is disabled', async () => {
    const { accountId, username } = (await register(one, 'jane.doe'))!;
    expect(await two.accounts.usernameOf(accountId)).toBe(username);
    const revoke = { type: 'revokeTokens', reason: 'operator' } as const;
    await two.accounts.execute(accountId, '', revoke, noChange, commitOf(two));
    expect(await one.accounts.usernameOf(accountId)).toBe(username);
    await one.accounts.execute(accountId, '', { type: 'disable', actor: 'x' }, noChange, commitOf(one));
    expect(await two.accounts.load(accountId)).toMatchObject({ username, state: { status: 'disabled' } });
    await one.accounts.execute(accountId, '', { type: 'enable', actor: 'x' }, noChange, commitOf(one));
    expect(await two.accounts.usernameOf(accountId)).toBe(username);
  });

  it('an account that was stored without its username is read, and gets it with its next change', async () => {
    const { accountId, username } = (await register(one, 'jane.doe'))!;
    const key = one.keys.account(one.keys.partitionOf(bucketOfId(accountId)), accountId);
    const [version, at, { tokens }] = await recordAt(key);
    await one.redis.raw.set(key, `${version} ${at} ${JSON.stringify(tokens)}`);
    expect(await one.accounts.load(accountId)).toMatchObject({
      username: null,
      state: { status: 'registered', tokens: [{ token: tokens[0]![0] }] },
    });
    const issue = { type: 'issueToken', ...tokenFor(username).record } as const;
    await one.accounts.execute(accountId, username, issue, noChange, commitOf(one));
    expect(await one.accounts.usernameOf(accountId)).toBe(username);
    await one.redis.raw.set(key, `${version} ${at} "disabled"`);
    expect(await one.accounts.load(accountId)).toMatchObject({ state: { status: 'disabled' } });
  });

  async function recordAt(key: string): Promise<[string, string, { tokens: [string, number][] }]> {
    const [version, at, body] = (await one.redis.raw.get(key))!.split(' ') as [string, string, string];
    return [version, at, JSON.parse(body)];
  }

  it('nothing in Redis holds a token or a password', async () => {
    const { token, accountId } = (await register(one, 'jane.doe'))!;
    await begin(one, accountId, token, { node: 'n1', connection: 1 });
    const texts: string[] = [];
    for (const server of one.redis.servers) {
      for (const key of await server.keys(`${prefix}*`)) {
        const dump = (await server.dumpBuffer(key))!.toString('latin1');
        texts.push(key, dump);
      }
    }
    expect(texts.length).toBeGreaterThan(10);
    const secrets = [token, token.replaceAll('-', ''), token.slice(9)];
    for (const secret of secrets) {
      expect(texts.filter((text) => text.toLowerCase().includes(secret))).toEqual([]);
    }
  });

  it('of many who want to change a session at once, each decides on what it is then', async () => {
    const { token, accountId } = (await register(one, 'jane.doe'))!;
    const id = await begin(one, accountId, token, { node: 'n0', connection: 1 });
    const known = await one.sessions.load(id);
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        (i % 2 === 0 ? one : two).sessions.execute(
          id,
          { type: 'resume', attachment: { node: `n${i + 1}`, connection: 1 }, takeOver: true },
          { known },
        ),
      ),
    );
    expect(outcomes.every(({ done }) => done)).toBe(true);
    const versions = outcomes.map((outcome) => (outcome.done ? outcome.after.version : 0));
    expect(versions.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, i) => 3 + 2 * i));

    // the one that was last has it; of 40 goodbyes only its own counts
    const last = outcomes[versions.indexOf(Math.max(...versions))]!;
    const { state } = await two.sessions.load(id);
    expect(last.done && isLive(last.after.state) && last.after.state.attachment).toEqual(
      isLive(state) && state.attachment,
    );
    const goodbyes = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        one.sessions.execute(id, {
          type: 'logOut',
          by: 'client',
          attachment: { node: `n${i + 1}`, connection: 1 },
        }),
      ),
    );
    expect(goodbyes.filter(({ done }) => done).length).toBe(1);
    expect(await one.sessions.load(id)).toMatchObject({ version: 0, state: { status: 'none' } });
    expect((await one.sessions.loadAll(accountId)).size).toBe(0);
  });

  it('who ended a session from outside is remembered for its node', async () => {
    const { token, accountId } = (await register(one, 'jane.doe'))!;
    const attachment = { node: 'n1', connection: 1 };
    const [ended, left] = [
      await begin(one, accountId, token, attachment),
      await begin(one, accountId, token, attachment),
    ];
    await two.sessions.execute(ended, { type: 'logOut', by: 'account' });
    await two.sessions.execute(left, { type: 'logOut', by: 'client', attachment });
    expect(await one.sessions.endedBy(ended)).toBe('account');
    expect(await one.sessions.endedBy(left)).toBeNull();
  });

  it('the sessions of a token come in the order in which they are to be resumed', async () => {
    const { token, accountId } = (await register(one, 'jane.doe'))!;
    const ids: string[] = [];
    for (let connection = 1; connection <= 3; connection += 1) {
      ids.push(await begin(one, accountId, token, { node: 'n1', connection }));
    }
    for (const connection of [2, 1]) {
      await one.sessions.execute(ids[connection - 1]!, {
        type: 'detach',
        attachment: { node: 'n1', connection },
        reason: 'closed',
      });
      await new Promise((resolve) => setTimeout(resolve, 5)); // the order is by time, in ms
    }
    const other = await begin(one, accountId, tokenFor('jane.doe').token, { node: 'n1', connection: 4 });
    const found = await two.sessions.ofToken(accountId, hashToken(token));
    expect(found.map(([id]) => id)).toEqual([ids[0], ids[1], ids[2]]);
    expect([...(await two.sessions.loadAll(accountId)).keys()]).toContain(other);
  });

  it('the session that was detached is found among a hundred', async () => {
    const { token, accountId } = (await register(one, 'jane.doe'))!;
    const connections = Array.from({ length: 100 }, (_, connection) => connection);
    const ids = await Promise.all(
      connections.map((connection) => begin(one, accountId, token, { node: 'n1', connection })),
    );
    const attachment = { node: 'n1', connection: 60 };
    await one.sessions.execute(ids[60]!, { type: 'detach', attachment, reason: 'closed' });
    const found = await two.sessions.ofToken(accountId, hashToken(token));
    expect(found.length).toBe(100);
    expect(found[0]![0]).toBe(ids[60]);
  });

  it('an email address is claimed once, and free again when nothing came of it', async () => {
    const value = hashName('jane@example.com');
    const owners = Array.from({ length: 30 }, (_, i) => one.accounts.credentials(`user${i}`, HASH).accountId);
    const claims = await Promise.all(
      owners.map((owner, i) => {
        const deployment = i % 2 === 0 ? one : two;
        return deployment.claims.reserve('email', value, owner, commitOf(deployment));
      }),
    );
    const [claim, ...others] = claims.filter((result) => typeof result !== 'number');
    expect(others).toEqual([]);
    expect(await two.claims.find('email', value)).toEqual(claim);

    // its owner was never registered
    await two.claims.settle(claim!);
    expect(await one.claims.find('email', value)).toBeNull();
  });

  it('an email address is kept by who was registered with it, also if the sweep settles it', async () => {
    const value = hashName('jane@example.com');
    const credentials = one.accounts.credentials('jane.doe', HASH, 'jane@example.com');
    const claim = await one.claims.reserve('email', value, credentials.accountId, commitOf(one));
    if (typeof claim === 'number') throw new Error('it is claimed');
    await one.accounts.register(credentials, null, one.claims.guard(claim), commitOf(one));
    await sweep(two);
    expect(await two.claims.find('email', value)).toMatchObject({ isConfirmed: true });
  });

  it('a reservation that was left behind is released by the sweep, and its owner can come no more', async () => {
    const value = hashName('jane@example.com');
    const credentials = one.accounts.credentials('jane.doe', HASH, 'jane@example.com');
    const claim = await one.claims.reserve('email', value, credentials.accountId, commitOf(one));
    if (typeof claim === 'number') throw new Error('it is claimed');
    await sweep(two, 0);
    expect(await one.claims.find('email', value)).not.toBeNull(); // not before its time
    await sweep(two);
    expect(await one.claims.find('email', value)).toBeNull();
    const late = await one.accounts.register(credentials, null, one.claims.guard(claim), commitOf(one));
    expect(late).toBeNull();
  });

  async function sweep({ claims, keys, redis }: Deployment, laterMs = 61_000): Promise<void> {
    for (let partition = 0; partition < keys.partitions; partition += 1) {
      await claims.sweep(partition, (await redis.time(keys.log(partition))) + laterMs);
    }
  }
});
