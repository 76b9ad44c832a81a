import { readFileSync } from 'node:fs';
import { BadConfig } from '../config/config.js';

/** An account to play with. */
export interface Account {
  readonly username: string;
  readonly token: string;
}

const HOW_TO = 'make one with `openchamp seed --users N --out FILE`';

/**
 * Reads accounts as `openchamp seed` writes them, `username<TAB>token` a line.
 * @param wanted how many are needed
 * @throws BadConfig when there are fewer, or the file is none of that kind
 */
export function readAccounts(file: string, wanted: number): Account[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new BadConfig(
      `The accounts in ${file} cannot be read (${(error as NodeJS.ErrnoException).code}); ${HOW_TO}.`,
    );
  }
  const accounts: Account[] = [];
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [username, token, ...rest] = line.split('\t');
    if (!username || !token || rest.length > 0) {
      throw new BadConfig(`${file} has a line that is not username<TAB>token; ${HOW_TO}.`);
    }
    accounts.push({ username, token });
    if (accounts.length === wanted) return accounts;
  }
  throw new BadConfig(
    `${file} has ${accounts.length} accounts, and ${wanted} clients need one each; ${HOW_TO}.`,
  );
}
