import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import { Passwords } from '../account/passwords.js';
import type { Deployment } from '../deployment.js';
import type { NewToken } from '../store/accounts.js';
import { type Commit, noChange } from '../store/change.js';
import { bucketOfUsername } from '../store/ids.js';
import { makeToken, type TokenSettings } from '../store/tokens.js';

export interface SeedRequest extends TokenSettings {
  readonly users: number;
  /** File to write `username<TAB>token` lines to. */
  readonly out: string;
  /** What the usernames begin with. */
  readonly prefix: string;
  /** Password of all of them. */
  readonly password: string;
}

/** Accounts on their way at once. */
const AT_ONCE = 2048;

/**
 * Makes accounts with a token each, all with the same password, which is hashed once. An account that is there already
 * gets a new token and keeps its password.
 * @returns how many were new
 * @throws Error when the file can't be written, or a name is in use as a display name
 */
export async function seed(deployment: Deployment, request: SeedRequest): Promise<number> {
  const out = createWriteStream(request.out, { mode: 0o600 });
  await new Promise<void>((resolve, reject) => {
    out.once('open', () => resolve());
    out.once('error', (error) => reject(new Error(`${request.out} cannot be written: ${error.message}`)));
  });
  const passwords = await Passwords.create({ concurrency: 1, queue: 0 });
  const hash = await passwords.hash(request.password);
  const width = Math.max(6, String(request.users).length);
  let created = 0;
  let next = 1;
  const makeSome = async () => {
    while (next <= request.users) {
      const username = `${request.prefix}${String(next++).padStart(width, '0')}`;
      const { token, record } = makeToken(bucketOfUsername(username), request, deployment.clock.now());
      if (await make(deployment, username, hash, record)) created += 1;
      out.write(`${username}\t${token}\n`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, request.users) }, makeSome));
  out.end();
  await finished(out);
  return created;
}

/** @returns whether the account is new @throws Error when its name is a display name */
async function make(
  { accounts, names, committer }: Deployment,
  username: string,
  passwordHash: string,
  token: NewToken,
): Promise<boolean> {
  const commit: Commit = (operation) => committer.commit(operation);
  const credentials = accounts.credentials(username, passwordHash);
  for (;;) {
    const at = await accounts.register(credentials, token, names.guard(username), commit);
    if (at !== null) return true;
    const existing = await accounts.find(username);
    if (existing) {
      const issue = { type: 'issueToken', ...token } as const;
      await accounts.execute(existing.accountId, username, issue, noChange, commit);
      return false;
    }
    if (!(await names.isFree(username))) throw new Error(`${username} is in use as a display name.`);
  }
}
