import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Backend, FORMS } from '../support/backends.js';
import { eventually } from '../support/eventually.js';
import { type Account, Fleet } from '../support/fleet.js';
import { countByType } from '../support/log.js';
import { enter, found, join, MATCHED_MS, takenPorts } from '../support/players.js';
import type { NodeProcess } from '../support/processes.js';

const PLAYERS = 500;

describe.each(FORMS)('many matches, with $name,', ({ start }) => {
  let backend: Backend;
  let fleet: Fleet;
  let nodes: NodeProcess[];
  let accounts: Account[];

  beforeAll(async () => {
    backend = await start();
    const env = { GAME_COMMAND: 'exec sleep 1', GAME_PORTS: '21000-21499' };
    fleet = new Fleet({ PARTITIONS: '4', ...backend.env, ...env }, backend.client());
    nodes = await Promise.all([fleet.serve(), fleet.serve()]);
    await Promise.all([fleet.work(), fleet.work()]);
    accounts = await fleet.seed(PLAYERS);
  });

  afterAll(async () => {
    await fleet?.stop();
    await backend?.stop();
  });

  it('of 500 players who join at once are 250, nobody is in two, and all ports come back', async () => {
    const players = await Promise.all(accounts.map((account, i) => enter(nodes[i % 2]!, account)));
    await Promise.all(players.map(join));
    const matches = await Promise.all(players.map((player) => found(player)));

    // each player is in the match that he was told of, with somebody who was told of the same
    const byServer = new Map<string, string[]>();
    for (const [i, match] of matches.entries()) {
      expect(match.players).toContain(players[i]!.username);
      expect(match.players.length).toBe(2);
      byServer.set(match.containerID, [...(byServer.get(match.containerID) ?? []), players[i]!.username]);
    }
    expect(byServer.size).toBe(PLAYERS / 2);
    for (const match of matches) {
      expect(byServer.get(match.containerID)!.toSorted()).toEqual(match.players.toSorted());
    }

    await eventually(async () => Object.keys(await takenPorts(fleet)).length === 0, {
      timeoutMs: MATCHED_MS,
    });
    for (const { client } of players) expect(client.received.length).toBe(3); // auth_success, queued, match_found
    const log = await fleet.expectConsistent();
    expect(countByType(log)).toMatchObject({
      'queue.joined': PLAYERS,
      'queue.left': PLAYERS,
      'match.formed': PLAYERS / 2,
      'match.started': PLAYERS / 2,
      'match.ended': PLAYERS / 2,
    });
  });
});
