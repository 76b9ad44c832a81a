import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Backend, FORMS } from '../support/backends.js';
import { connect } from '../support/client.js';
import { logout, register, setUsername } from '../support/conversation.js';
import {
  displayNameUpdated,
  INVALID_PAYLOAD,
  LOGGED_OUT,
  registrationError,
  SOON,
} from '../support/expected.js';
import { type Account, Fleet, PASSWORD } from '../support/fleet.js';
import { enter, type Player } from '../support/players.js';
import type { NodeProcess } from '../support/processes.js';

const TAKEN = registrationError('Username already exists');
const RACERS = 30;
const ROUNDS = 20;

// on a Cluster the name, its claim and the account that wants it may be on different servers
describe.each(FORMS)('a name that several want at once, on $name', ({ start }) => {
  let backend: Backend;
  let fleet: Fleet;
  let nodes: NodeProcess[];
  let accounts: Account[];

  beforeAll(async () => {
    backend = await start();
    fleet = new Fleet({ PARTITIONS: '4', ...backend.env }, backend.client());
    nodes = await Promise.all([fleet.serve(), fleet.serve()]);
    accounts = await fleet.seed(100);
  });

  afterAll(async () => {
    await fleet?.stop();
    await backend?.stop();
  });

  const player = (i: number) => enter(nodes[i % 2]!, accounts.pop()!);

  async function httpRegister(username: string, node = 0): Promise<[status: number, text: string]> {
    const body = JSON.stringify({ username, password: PASSWORD });
    const answer = await fetch(`${nodes[node]!.httpUrl}/register`, { method: 'POST', body });
    return [answer.status, await answer.text()];
  }

  it('as a display name is had by exactly one, each time, and nobody can be registered by it', async () => {
    const racers = await Promise.all(Array.from({ length: RACERS }, (_, i) => player(i)));
    for (let round = 0; round < 10; round++) {
      const name = `Contested ${round}`;
      const answers = await Promise.all(racers.map(({ client }) => setUsername(client, name)));
      const winners = racers.filter((_, i) => answers[i]!.type === 'display_name_updated');
      expect(winners).toHaveLength(1);
      expect(answers.filter(({ type }) => type === 'error')).toEqual(Array(RACERS - 1).fill(INVALID_PAYLOAD));

      const outsider = await connect(nodes[round % 2]!.wsUrl);
      expect(await register(outsider, name, PASSWORD)).toEqual(TAKEN);
      expect(await httpRegister(name)).toEqual([409, 'Username or email already exists']);
      await outsider.close();
    }
    const [winner] = await winnersOf(racers, 'Handed on');
    expect(await logout(winner!.client)).toEqual(LOGGED_OUT);
    const rest = racers.filter((racer) => racer !== winner);
    await expect.poll(async () => (await winnersOf(rest, 'Handed on')).length, SOON).toBe(1);
  });

  it('can be registered once nobody has it as a display name any more', async () => {
    const one = await player(0);
    expect(await setUsername(one.client, 'Account to be')).toEqual(displayNameUpdated('Account to be'));
    expect((await httpRegister('Account to be'))[0]).toBe(409);
    expect(await logout(one.client)).toEqual(LOGGED_OUT);
    const status = async () => (await httpRegister('Account to be'))[0];
    await expect.poll(status, SOON).toBe(201);
    const other = await player(1);
    expect(await setUsername(other.client, 'Account to be')).toEqual(INVALID_PAYLOAD);
  });

  it.each([
    ['by the message', (name: string, node: number) => registers(nodes[node]!, name)],
    ['over HTTP', async (name: string, node: number) => (await httpRegister(name, node))[0] === 201],
  ])(
    'as a username, %s, and as a display name is had by exactly one of the two',
    async (how, tryToRegister) => {
      const { client } = await player(0);
      // how many round trips a registration takes, so that what is asked for meanwhile hits any moment of it
      let trips = 0;
      let isDone = false;
      const first = tryToRegister(`First ${how}`, 1).finally(() => {
        isDone = true;
      });
      for (; !isDone; trips++) await client.request({ type: 'no such type' });
      expect(await first).toBe(true);

      const outcomes: boolean[] = [];
      for (let round = 0; round <= ROUNDS; round++) {
        const name = `Either ${round} ${how}`;
        const registration = tryToRegister(name, 1);
        const delay = Math.round((1.2 * trips * round) / ROUNDS);
        for (let i = 0; i < delay; i++) await client.request({ type: 'no such type' });
        if (round === ROUNDS) await registration;
        const answer = await setUsername(client, name);
        const isRegistered = await registration;
        expect(answer, `round ${round}`).toEqual(isRegistered ? INVALID_PAYLOAD : displayNameUpdated(name));
        outcomes.push(isRegistered);
      }
      expect(outcomes).toContain(true);
      expect(outcomes).toContain(false);
    },
  );

  it('has left a log that agrees with the records', async () => {
    await fleet.expectConsistent();
  });
});

/** Registers on a connection of its own; whether it was possible. */
async function registers(node: NodeProcess, name: string): Promise<boolean> {
  const client = await connect(node.wsUrl);
  const answer = await register(client, name, PASSWORD);
  await client.close();
  if (answer.type !== 'register_success') expect(answer).toEqual(TAKEN);
  return answer.type === 'register_success';
}

/** Those of the players who get a name when all ask for it. */
async function winnersOf(players: readonly Player[], name: string): Promise<Player[]> {
  const answers = await Promise.all(players.map(({ client }) => setUsername(client, name)));
  return players.filter((_, i) => answers[i]!.type === 'display_name_updated');
}
