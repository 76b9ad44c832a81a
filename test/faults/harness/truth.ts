import { expect } from 'vitest';
import { hashToken } from '../../../src/store/ids.js';
import { connect } from '../../support/client.js';
import { logout, tokenAuth } from '../../support/conversation.js';
import type { Fleet } from '../../support/fleet.js';
import type { LogEntry } from '../../support/log.js';
import type { NodeProcess } from '../../support/processes.js';
import type { Crowd } from './crowd.js';
import { liesAbout, type ReckoningOptions } from './reckoning.js';
import { expectTidy } from './tidy.js';

export interface TruthOptions extends Omit<ReckoningOptions, 'resumeMs'> {
  /** The nodes that are there at the end. */
  readonly nodes: readonly Pick<NodeProcess, 'wsUrl'>[];
  /** Whether everybody was answered in time, or his connection broke: nothing hung. */
  readonly nothingHangs?: boolean;
}

const SAMPLE = 20;

/** `RESUME_SECONDS` unless it is set. */
const RESUME_SECONDS = 300;

/**
 * Compares what the clients of a crowd that has ended saw with what the log says, and both with the live state:
 * whatever a client was told is there once, nothing is there that nobody asked for, every history is legal and without gap
 * or double, replay equals the live state, no token is in a log, nothing is left behind, and tokens are as good as they should be.
 */
export async function expectTruth(fleet: Fleet, crowd: Crowd, options: TruthOptions): Promise<LogEntry[]> {
  expect(crowd.problems).toEqual([]);
  if (options.nothingHangs) expect(crowd.sum(({ giveUps }) => giveUps)).toBe(0);
  await fleet.untilNobodyIsAttached();
  const log = await fleet.expectConsistent();

  const resumeMs = Number(fleet.env.RESUME_SECONDS ?? RESUME_SECONDS) * 1000;
  const accounts = eventsByToken(log);
  const lies = crowd.players.flatMap((player) => {
    const events = accounts.get(hashToken(player.account.token)) ?? [];
    return liesAbout(player, events, { ...options, resumeMs });
  });
  expect(lies).toEqual([]);

  expectNoTokens(fleet.printed(), crowd);
  await expectTidy(fleet);
  await expectTokens(crowd, options);
  return log;
}

/** Expects that no process has printed a token, in the letters that clients send or without dashes. */
function expectNoTokens(printed: string, { players }: Crowd): void {
  const tokens = players.flatMap(({ account, diary }) => [
    account.token,
    ...diary.flatMap(({ token }) => token ?? []),
  ]);
  const plain = new Set(tokens.map((token) => token.replaceAll('-', '')));
  const suspects = printed.toLowerCase().match(/[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}/g) ?? [];
  expect(suspects.filter((text) => plain.has(text.replaceAll('-', '')))).toEqual([]);
  expect(printed).toContain('session.logged_out');
}

/** All that is recorded of an account, its tokens and its sessions, in order, by the hash of each of its tokens. */
function eventsByToken(log: readonly LogEntry[]): Map<string, LogEntry[]> {
  const byAccount = new Map<string, LogEntry[]>();
  const byToken = new Map<string, LogEntry[]>();
  const accountOf = new Map<string, string>();
  for (const entry of log) {
    const { type, subject, data } = entry;
    if (type === 'session.started') accountOf.set(subject, String(data.accountId));
    const account = accountOf.get(subject) ?? subject;
    const events = byAccount.get(account) ?? [];
    if (events.push(entry) === 1) byAccount.set(account, events);
    if (type === 'token.issued') byToken.set(String(data.token), events);
  }
  return byToken;
}

/** After all logouts, tokens work on every node, those of the players as well as those that they were given. */
async function expectTokens(
  { players }: Crowd,
  { nodes, isExcused = () => false }: TruthOptions,
): Promise<void> {
  const given = players.flatMap(({ diary }) =>
    diary.filter(({ request, askedAt, endedAt }) => request === 'login' && !isExcused(askedAt, endedAt)),
  );
  const tokens = [
    ...players.slice(-SAMPLE).map(({ account }) => account.token),
    ...given.slice(-SAMPLE).flatMap(({ token }) => token ?? []),
  ];
  for (const { wsUrl } of nodes) {
    const client = await connect(wsUrl, { isDeaf: true });
    for (const token of tokens) {
      expect(await tokenAuth(client, token)).toMatchObject({ type: 'auth_success' });
      expect(await logout(client)).toEqual({ type: 'logged_out' });
    }
    await client.close();
  }
}
