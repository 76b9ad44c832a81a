import { expect } from 'vitest';
import { hashToken } from '../../../src/store/ids.js';
import { connect } from '../../support/client.js';
import { logout, tokenAuth } from '../../support/conversation.js';
import { eventsBySubject, type Fleet, storyOf } from '../../support/fleet.js';
import type { LogEntry } from '../../support/log.js';
import type { NodeProcess } from '../../support/processes.js';
import type { Crowd, Regular } from './crowd.js';
import { expectTidy } from './tidy.js';

export interface TruthOptions {
  /** The nodes that are there at the end. */
  readonly nodes: readonly Pick<NodeProcess, 'wsUrl'>[];
  /**
   * Whether every request has been answered, so that clients know exactly what was recorded: nothing broke off in the
   * middle, and no process died.
   */
  readonly isExact?: boolean;
  /** Whether what had been promised for later may be missing, because the process that promised it died. */
  readonly promisesDie?: boolean;
  /** Logouts that may be missing, if any may: by when they were acknowledged, or asked for if they were to be recorded later. */
  readonly isExcused?: (time: number) => boolean;
}

const SAMPLE = 20;

/**
 * Compares what the clients of a crowd that has ended saw with what the log says, and both with the live state:
 * every logout that a client was told of is there once, nothing is there that nobody asked for, every history is legal
 * and without gap or double, replay equals the live state, nothing is left behind, and tokens are as good as they should be.
 */
export async function expectTruth(fleet: Fleet, crowd: Crowd, options: TruthOptions): Promise<LogEntry[]> {
  expect(crowd.problems).toEqual([]);
  await fleet.untilNobodyIsAttached();
  const log = await fleet.expectConsistent();

  const events = countsByToken(log);
  const lies = crowd.players.flatMap((player) => {
    const { token } = player.account;
    return liesAbout(player, events.get(hashToken(token)) ?? NOTHING, options);
  });
  expect(lies).toEqual([]);

  await expectTidy(fleet);
  await expectTokens(fleet, crowd, options.nodes);
  return log;
}

/** A session goes on, on another connection than its node knew of. */
const MOVED_ON = /detached:(?:node_lost|taken_over) resumed/g;

interface Counts {
  begun: number;
  loggedOut: number;
  stories: string[];
}

const NOTHING: Counts = { begun: 0, loggedOut: 0, stories: [] };

function countsByToken(log: readonly LogEntry[]): Map<string, Counts> {
  const counts = new Map<string, Counts>();
  for (const events of eventsBySubject(log).values()) {
    const [{ type, data }] = events as [LogEntry];
    if (type !== 'session.started') continue;
    const token = String(data.token);
    const count = counts.get(token) ?? { begun: 0, loggedOut: 0, stories: [] };
    count.stories.push(`${events[0]!.id} ${storyOf(events)}`);
    for (const { type } of events) {
      if (type === 'session.started' || type === 'session.resumed') count.begun += 1;
      if (type === 'session.logged_out') count.loggedOut += 1;
    }
    counts.set(token, count);
  }
  return counts;
}

/** What a player was told that isn't recorded, and what is recorded without a cause. */
function liesAbout(player: Regular, { begun, loggedOut, stories }: Counts, options: TruthOptions): string[] {
  const { isExact = false, promisesDie = false, isExcused = () => false } = options;
  const { number, logins, doubtfulLogins, logouts, lateLogouts, doubtfulLogouts, loggedOutAt, lateAskedAt } =
    player;
  const excused = [...loggedOutAt, ...lateAskedAt].filter(isExcused).length;
  // a session that was to be logged out of late may be resumed before that, and is not logged out of then
  const movedOn = stories.reduce((sum, story) => sum + (story.match(MOVED_ON)?.length ?? 0), 0);
  const fewestLogouts = logouts - excused + (promisesDie ? 0 : Math.max(0, lateLogouts - movedOn));
  const mostLogouts = isExact ? logouts + lateLogouts : logouts + lateLogouts + doubtfulLogouts;
  const lies: string[] = [];
  if (loggedOut < fewestLogouts || loggedOut > mostLogouts) {
    lies.push(
      `player ${number}: ${loggedOut} logouts recorded, of ${logouts} acknowledged, ${lateLogouts} late, ${doubtfulLogouts} unanswered (${stories.slice(-8).join(' | ')})`,
    );
  }
  // a session that its own node claims back is begun once more without the client
  if (options.isExcused ? false : begun < logins) {
    lies.push(`player ${number}: ${begun} times a session begun or resumed, ${logins} logins acknowledged`);
  }
  if (isExact && begun > logins + doubtfulLogins) {
    lies.push(`player ${number}: ${begun} times a session begun or resumed, after ${logins} logins`);
  }
  return lies;
}

/** After all logouts, tokens work on every node; those that are revoked work on none. */
async function expectTokens(fleet: Fleet, { players }: Crowd, nodes: TruthOptions['nodes']): Promise<void> {
  const [revoked, ...others] = players.slice(-SAMPLE).map(({ account }) => account);
  const { code, stderr } = await fleet.cli('logout', revoked!.username, '--revoke-tokens');
  expect(code, stderr).toBe(0);
  for (const { wsUrl } of nodes) {
    const client = await connect(wsUrl, { isDeaf: true });
    for (const { token } of others) {
      expect(await tokenAuth(client, token)).toMatchObject({ type: 'auth_success' });
      expect(await logout(client)).toEqual({ type: 'logged_out' });
    }
    expect(await tokenAuth(client, revoked!.token)).toEqual({
      type: 'auth_error',
      payload: { message: 'Invalid or expired token' },
    });
    await client.close();
  }
}
