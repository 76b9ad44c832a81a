import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join as joinPath } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import { type Account, Fleet } from '../support/fleet.js';
import { tempDir } from '../support/guardian.js';
import { countByType } from '../support/log.js';
import { enter, found, join, MATCHED_MS, takenPorts } from '../support/players.js';
import { onFreePorts } from '../support/ports.js';
import type { NodeProcess } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { Scene } from '../support/scene.js';

const MATCH_ERROR = { type: 'match_error', payload: { message: 'Failed to start game server' } };

let redis: RedisServer;
let fleet: Fleet;
let node: NodeProcess;
let accounts: Account[];
let dir: string;

beforeEach(async () => {
  redis = await startRedis();
  fleet = new Fleet({ REDIS_URL: redis.url, LEASE_SECONDS: '2', GAME_PORTS: '22000-22099' }, redis.client());
  node = await fleet.serve();
  accounts = await fleet.seed(4);
  dir = tempDir();
});

afterEach(async () => {
  writeFileSync(joinPath(dir, 'over'), ''); // whatever still waits for it
  await fleet?.stop();
  await redis?.stop();
});

/** A program that is called like podman; it notes its calls, and `run` does this. */
function engine(name: string, run: string): string {
  const path = joinPath(dir, name);
  const script = `#!/bin/sh
echo "$(basename "$0") $*" >> ${dir}/calls
case "$1" in
  run) ${run} ;;
  wait) while [ ! -e ${dir}/over ]; do sleep 0.1; done; echo 0 ;;
  inspect) [ ! -e ${dir}/over ] || { echo 'Error: no such object' >&2; exit 125; } ;;
esac
`;
  writeFileSync(path, script);
  chmodSync(path, 0o755);
  return path;
}

const calls = () => readFileSync(joinPath(dir, 'calls'), 'utf8').trim().split('\n');
const container = (program: string) => ({
  GAME_LAUNCHER: 'container',
  GAME_IMAGE: 'registry.example/game:1',
  CONTAINER_ENGINE: program,
});

async function twoWait() {
  const players = [await enter(node, accounts[0]!), await enter(node, accounts[1]!)] as const;
  for (const player of players) await join(player);
  return players;
}

it('a container is started as the original does it, for players of two nodes, and waited for', async () => {
  engine('podman', 'echo 4f66ad9a0b2e');
  const { CONTAINER_ENGINE: _, ...settings } = container('');
  await fleet.work({ ...settings, PATH: `${dir}:${process.env.PATH}` });
  const players = [await enter(node, accounts[0]!), await enter(await fleet.serve(), accounts[1]!)] as const;
  for (const player of players) await join(player);
  const match = await found(players[0]);
  expect(await found(players[1])).toEqual(match);
  expect(match.containerID).toBe('4f66ad9a0b2e');
  const names = JSON.stringify(players.map(({ username }) => username));
  await eventually(() => calls().length === 2);
  expect(calls()).toEqual([
    `podman run --rm -d -p ${match.port}:7000 -e PLAYERS_JSON=${names} registry.example/game:1 --port 7000`,
    'podman wait 4f66ad9a0b2e',
  ]);
  writeFileSync(joinPath(dir, 'over'), '');
  await eventually(async () => countByType(await fleet.log())['match.ended'] === 1, {
    timeoutMs: MATCHED_MS,
  });
  await eventually(async () => Object.keys(await takenPorts(fleet)).length === 0);
  await fleet.expectConsistent();
});

it('a match for which there is no port waits for one', async () => {
  const other = createServer(); // of another program
  const port = await onFreePorts(1, async ([free]) => free!);
  await new Promise<void>((resolve) => other.listen(port, resolve));
  await fleet.work({
    GAME_COMMAND: `until [ -e ${dir}/over ]; do sleep 0.1; done; exec sleep 1`,
    GAME_PORTS: `${port}-${port + 1}`,
    LAUNCH_ATTEMPTS: '1',
  });
  const [first, second] = await twoWait();
  expect((await found(first)).port).toBe(port + 1);
  await found(second);
  const later = [await enter(node, accounts[2]!), await enter(node, accounts[3]!)] as const;
  for (const player of later) await join(player);
  await eventually(async () => countByType(await fleet.log())['match.formed'] === 2, {
    timeoutMs: MATCHED_MS,
  });
  await delay(1500); // at least one attempt
  expect(await later[0].client.request({ type: 'join_queue' })).toEqual({ type: 'queued' });
  writeFileSync(joinPath(dir, 'over'), '');
  expect((await found(later[0])).port).toBe(port + 1);
  await found(later[1]);
  const log = await fleet.expectConsistent();
  expect(countByType(log)).toMatchObject({ 'match.formed': 2, 'match.started': 2 });
  other.close();
});

it('a launch that fails is tried again, then the players are told, and are first in line', async () => {
  const worker = await fleet.work({
    ...container(engine('podman', 'echo no >&2; exit 125')),
    LAUNCH_ATTEMPTS: '2',
  });
  const [first, second] = await twoWait();
  expect(await first.client.next(MATCHED_MS)).toEqual(MATCH_ERROR);
  expect(await second.client.next(MATCHED_MS)).toEqual(MATCH_ERROR);
  expect(calls().filter((call) => call.startsWith('podman run')).length).toBeGreaterThanOrEqual(2);
  worker.kill('SIGKILL');
  await worker.exited;

  // two who have joined later
  const later = [await enter(node, accounts[2]!), await enter(node, accounts[3]!)] as const;
  for (const player of later) await join(player);
  await fleet.work({ GAME_COMMAND: 'exec sleep 1' });
  const next = async ({ client }: typeof first) => {
    for (;;) {
      const message = await client.next(MATCHED_MS);
      if (message.type === 'match_found') return message.payload as { players: string[] };
      expect(message).toEqual(MATCH_ERROR);
    }
  };
  const [one, other] = [await next(first), await next(second)];
  expect(one.players).toEqual([first.username, second.username]);
  expect(other).toEqual(one);
  expect((await found(later[0])).players).toEqual(later.map(({ username }) => username));
  await eventually(async () => Object.keys(await takenPorts(fleet)).length === 0, { timeoutMs: MATCHED_MS });
  await fleet.expectConsistent();
});

it('a worker that dies between forming a match and launching it is stood in for', async () => {
  const worker = await fleet.work(container(engine('slow', 'sleep 60')));
  const [first, second] = await twoWait();
  await eventually(async () => countByType(await fleet.log())['match.formed'] === 1, {
    timeoutMs: MATCHED_MS,
  });
  await eventually(() => calls().length === 1);
  worker.kill('SIGKILL');
  await worker.exited;
  await fleet.work(container(engine('podman', 'echo second')));
  const match = await found(first);
  expect(match.players).toEqual([first.username, second.username]);
  expect(await found(second)).toEqual(match);
  expect(match.containerID).toBe('second');
  const log = await fleet.expectConsistent();
  expect(countByType(log)).toMatchObject({ 'match.formed': 1, 'match.started': 1 });
});

it('a worker that dies while it forms a match leaves the players first in line', async () => {
  const [first, second] = await twoWait();
  // what such a worker leaves behind
  const scene = await Scene.open({ REDIS_URL: redis.url, KEY_PREFIX: fleet.env.KEY_PREFIX! });
  const { sessions, matches, redis: client, keys } = scene.deployment;
  const waiting = await client.raw.zrange(keys.queue(0), 0, '-1');
  const match = `m${'x'.repeat(16)}`;
  expect(await matches.plan(match, waiting)).not.toBeNull();
  expect((await sessions.execute(waiting[0]!, { type: 'match', match })).done).toBe(true);
  expect(await first.client.request({ type: 'join_queue' })).toEqual({ type: 'queued' }); // he is as good as in
  scene.close();

  const later = await enter(node, accounts[2]!);
  await join(later);
  await fleet.work({ GAME_COMMAND: 'exec sleep 1' });
  const others = await found(second);
  expect(others.players).toEqual([second.username, later.username]);
  const last = await enter(node, accounts[3]!);
  await join(last);
  expect((await found(first)).players).toEqual([first.username, last.username]);
  await eventually(async () => (await redis.client().keys(`${fleet.env.KEY_PREFIX}*plan*`)).length === 0);
  await fleet.expectConsistent();
});

it('a game server knows its players and its port, and no secret of the deployment', async () => {
  await fleet.work({
    GAME_COMMAND: `env > ${dir}/env; exec sleep 1`,
    REDIS_URL: redis.url.replace('redis://', 'redis://default:sesame@'),
    OWN_SETTING: 'kept',
  });
  const [first, second] = await twoWait();
  const { port } = await found(first);
  const env = readFileSync(joinPath(dir, 'env'), 'utf8').split('\n');
  expect(env).toContain(`PORT=${port}`);
  expect(env).toContain(`PLAYERS_JSON=${JSON.stringify([first.username, second.username])}`);
  expect(env).toContain('OWN_SETTING=kept');
  expect(env.join()).not.toContain('sesame');
});

it('a game server outlives its worker, and another watches over it', async () => {
  const worker = await fleet.work({ GAME_COMMAND: `until [ -e ${dir}/over ]; do sleep 0.1; done` });
  const [first, second] = await twoWait();
  const { port } = await found(first);
  await found(second);
  worker.kill('SIGKILL');
  await worker.exited;
  await fleet.work();
  expect(Object.keys(await takenPorts(fleet))).toEqual([String(port)]);
  writeFileSync(joinPath(dir, 'over'), '');
  await eventually(async () => Object.keys(await takenPorts(fleet)).length === 0, { timeoutMs: MATCHED_MS });
  expect(countByType(await fleet.expectConsistent())).toMatchObject({ 'match.started': 1, 'match.ended': 1 });
});

it('who waits on a node that is killed is not waited for', async () => {
  const other = await fleet.serve();
  const lost = await enter(other, accounts[0]!);
  await join(lost);
  await fleet.work({ GAME_COMMAND: 'exec sleep 1' });
  other.kill('SIGKILL');
  await other.exited;
  const players = [await enter(node, accounts[1]!), await enter(node, accounts[2]!)] as const;
  for (const player of players) await join(player);
  expect((await found(players[0])).players).toEqual(players.map(({ username }) => username));
  await found(players[1]);
  // he comes back, and plays with the next
  const back = await enter(node, accounts[0]!);
  const next = await enter(node, accounts[3]!);
  await join(back);
  await join(next);
  expect((await found(next)).players).toEqual([back.username, next.username]);
  await fleet.expectConsistent();
});
