import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { type Verification, verify } from '../store/verify.js';

export interface VerifyRequest {
  readonly redis: RedisClient;
  readonly keys: Keys;
  /** Prints a line. */
  readonly print: (line: string) => void;
}

/**
 * Compares the log with the live state, and prints what differs, one a line, and a summary.
 * @returns the exit code: 0, or 1 if anything differs
 * @throws Unavailable; Error when an entry of the log is not an event
 */
export async function verifyDeployment({ redis, keys, print }: VerifyRequest): Promise<number> {
  const verification = await verify(redis, keys);
  for (const { partition, problem } of verification.differences) print(`partition ${partition}: ${problem}`);
  for (const line of summaryOf(verification, keys.partitions)) print(line);
  return verification.differences.length === 0 ? 0 : 1;
}

function summaryOf({ events, subjects, differences, unjudged }: Verification, partitions: number): string[] {
  const compared = `${count(events, 'event')}, ${count(subjects, 'session or account', 'sessions and accounts')}, ${count(partitions, 'partition')}`;
  const outcome = differences.length === 0 ? 'nothing differs' : `${count(differences.length, 'difference')}`;
  const gaps = [
    unjudged.trimmed > 0 && `${unjudged.trimmed} whose beginning has been trimmed from the log`,
    unjudged.unknown > 0 && `${unjudged.unknown} with events that only a newer release knows`,
    unjudged.credentials > 0 &&
      `${count(unjudged.credentials, 'credential record')} (credentials are not in the log)`,
  ].filter((gap) => gap !== false);
  return [`${compared}: ${outcome}`, ...(gaps.length > 0 ? [`not judged: ${gaps.join(', ')}`] : [])];
}

function count(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}
