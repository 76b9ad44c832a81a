import { afterEach, describe, expect, it } from 'vitest';
import { authError, globalChat, LOGGED_OUT, RATE_LIMITED } from '../support/expected.js';
import { countByType } from '../support/log.js';
import { enter } from '../support/players.js';
import { Siege } from './harness/siege.js';

const ATTACKERS = 10;

/** No limit of messages, but there is one: without any there would be none of changes, either. */
const TALKATIVE = { MESSAGE_RATE: '1000000', MESSAGE_BURST: '1000000' };

/** Changes a second on average over a minute; the well-behaved need fewer than these all at once. */
const CHANGE_RATE = 3;
const CHANGES = 60 * CHANGE_RATE;

/** The same of chat, over ten seconds. */
const CHAT_RATE = 20;
const MESSAGES = 10 * CHAT_RATE;

/** So many are refused to each of them. */
const REFUSED = 200;

const HARMLESS = { grownMb: 60, slowdown: 20 };

describe('players who do as often as they can', () => {
  let siege: Siege;

  afterEach(() => siege?.stop());

  const attackers = () =>
    Promise.all(siege.accounts.slice(0, ATTACKERS).map((one) => enter(siege.node, one)));

  it('what is recorded cannot fill the log', async () => {
    siege = await Siege.begin({ ...TALKATIVE, CHANGE_RATE: `${CHANGE_RATE}` }, ATTACKERS);
    const players = await attackers();
    const before = countByType(await siege.fleet.log())['session.started'] ?? 0;
    const tooMany = authError('Too many attempts, try again later');
    let begun = 0;
    await siege.during(HARMLESS, async () => {
      await Promise.all(
        players.map(async ({ client, token }) => {
          for (let refused = 0; refused < REFUSED; ) {
            const isIn = (await client.request({ type: 'logout' }, 20_000)).type === LOGGED_OUT.type;
            if (!isIn) expect(refused).toBeGreaterThan(0);
            const answer = await client.request({ type: 'token_auth', payload: { token } }, 20_000);
            if (answer.type === 'auth_success') begun += 1;
            else {
              expect(answer).toEqual(tooMany);
              refused += 1;
            }
          }
        }),
      );
    });
    expect(begun).toBeGreaterThan((ATTACKERS * CHANGES) / 2);
    expect(begun).toBeLessThan(ATTACKERS * CHANGES * 1.5); // some time has gone by
    const types = countByType(await siege.fleet.log());
    expect(types['session.started']! - before).toBeGreaterThanOrEqual(begun);
  });

  it('chat are not heard more often than they may be', async () => {
    siege = await Siege.begin({ ...TALKATIVE, CHAT_RATE: `${CHAT_RATE}` }, ATTACKERS + 1);
    const listener = await enter(siege.node, siege.accounts[ATTACKERS]!);
    const players = await attackers();
    let said = 0;
    await siege.during(HARMLESS, async () => {
      await Promise.all(
        players.map(async ({ client, username }) => {
          for (let refused = 0; refused < REFUSED; ) {
            client.send({ type: 'global_chat', payload: 'me' });
            const mine = JSON.stringify(globalChat(username, 'me'));
            let answer = await client.next(20_000);
            while (answer.type === 'global_chat' && JSON.stringify(answer) !== mine) {
              answer = await client.next(20_000);
            }
            if (answer.type === 'global_chat') said += 1;
            else {
              expect(answer).toEqual(RATE_LIMITED);
              refused += 1;
            }
          }
        }),
      );
    });
    expect(said).toBeGreaterThanOrEqual(ATTACKERS * MESSAGES);
    expect(said).toBeLessThan(ATTACKERS * MESSAGES * 2); // a second time of ten seconds may have begun
    await expect.poll(() => listener.client.received.length - 1).toBe(said);
  });
});
