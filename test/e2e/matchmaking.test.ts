import { once } from 'node:events';
import { createConnection } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Backend, FORMS } from '../support/backends.js';
import { connect } from '../support/client.js';
import { logout } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { AUTH_REQUIRED } from '../support/expected.js';
import { type Account, eventsBySubject, Fleet } from '../support/fleet.js';
import { countByType } from '../support/log.js';
import { enter, found, join, MATCHED_MS, takenPorts } from '../support/players.js';
import type { NodeProcess } from '../support/processes.js';

describe.each(FORMS)('matches of two nodes on $name', ({ start }) => {
  let backend: Backend;
  let fleet: Fleet;
  let a: NodeProcess;
  let b: NodeProcess;
  let accounts: Account[];

  beforeAll(async () => {
    backend = await start();
    fleet = new Fleet({ ...backend.env, GAME_HOST: '127.0.0.1' }, backend.client());
    a = await fleet.serve();
    [b] = await Promise.all([fleet.serve(), fleet.work()]);
    accounts = await fleet.seed(30);
  });

  afterAll(async () => {
    await fleet?.stop();
    await backend?.stop();
  });

  const on = (node: NodeProcess) => enter(node, accounts.pop()!);

  it('have the first two who wait, and a game server that listens', async () => {
    const [first, second] = [await on(a), await on(b)];
    await join(first);
    await join(second);
    const match = await found(first);
    expect(await found(second)).toEqual(match);
    expect(match).toEqual({
      port: expect.any(Number),
      players: [first.username, second.username],
      containerID: expect.stringMatching(/./),
      host: '127.0.0.1',
    });
    expect(await takenPorts(fleet)).toMatchObject({ [match.port]: expect.stringMatching(/^m/) });

    // whoever connects is told who plays; when the last one has gone, the game is over
    const socket = createConnection(match.port, match.host);
    const [greeting] = (await once(socket, 'data')) as [Buffer];
    expect(JSON.parse(greeting.toString())).toEqual(match.players);
    socket.destroy();
    await eventually(async () => !(match.port in (await takenPorts(fleet))), { timeoutMs: MATCHED_MS });
    await eventually(async () => countByType(await fleet.log())['match.ended'] === 1);

    // and they can play again
    await join(second);
    await join(first);
    expect((await found(first)).players).toEqual([second.username, first.username]);
    await found(second);
  });

  it('are for those who have a session', async () => {
    const client = await connect(a.wsUrl);
    expect(await client.request({ type: 'join_queue' })).toEqual(AUTH_REQUIRED);
    expect(await client.request({ type: 'leave_queue' })).toEqual(AUTH_REQUIRED);
  });

  it('show display names, in the order in which the players have joined', async () => {
    const [first, second] = [await on(b), await on(a)];
    await first.client.request({ type: 'set_username', payload: `Kitty "${first.username}"` });
    await join(first);
    await join(second);
    expect((await found(second)).players).toEqual([`Kitty "${first.username}"`, second.username]);
    await found(first);
  });

  it('leave out those who have left the queue, one way or another', async () => {
    const leavers = await Promise.all([on(a), on(b), on(a), on(b)]);
    const [asks, logsOut, closes, isEnded] = leavers as [
      (typeof leavers)[0],
      (typeof leavers)[0],
      (typeof leavers)[0],
      (typeof leavers)[0],
    ];
    // nobody is matched with anybody before he has left
    await join(asks);
    expect(await asks.client.request({ type: 'join_queue' })).toEqual({ type: 'queued' });
    expect(await asks.client.request({ type: 'leave_queue' })).toEqual({ type: 'dequeued' });
    asks.client.send({ type: 'leave_queue' }); // no answer
    expect(await asks.client.request({ type: 'x' })).toMatchObject({ payload: { code: 'UNKNOWN_TYPE' } });
    await join(logsOut);
    expect(await logout(logsOut.client)).toEqual({ type: 'logged_out' });
    await join(closes);
    await closes.client.close();
    await eventually(async () => countByType(await fleet.log())['session.detached'] === 1);
    await join(isEnded);
    expect((await fleet.cli('logout', isEnded.username)).code).toBe(0);
    expect(await isEnded.client.next()).toEqual({ type: 'logged_out', payload: { reason: 'operator' } });

    const [first, second] = [await on(a), await on(b)];
    await join(first);
    await join(second);
    expect((await found(first)).players).toEqual([first.username, second.username]);
    await found(second);
    const reasons = (await fleet.log())
      .filter(({ type }) => type === 'queue.left')
      .map(({ data }) => data.reason)
      .filter((reason) => reason !== 'matched');
    expect(reasons.toSorted()).toEqual(['client', 'detached', 'ended', 'ended']);
  });

  it('agree with the log', async () => {
    const log = await fleet.expectConsistent();
    const matches = [...eventsBySubject(log)].filter(([subject]) => subject.startsWith('m'));
    for (const [, events] of matches) {
      const types = events.map(({ type }) => type).slice(0, 2);
      expect(types).toEqual(['match.formed', 'match.started']);
    }
    expect(matches.length).toBe(4);
  });
});
