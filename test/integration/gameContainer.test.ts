import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { ContainerRunner } from '../../src/game/container.js';
import { PortTaken } from '../../src/game/local.js';
import { eventually } from '../support/eventually.js';
import { tempDir } from '../support/guardian.js';

const REQUEST = { match: 'm', players: ['Jane', 'Joe "Jo"'] };

let calls: string;

beforeEach(() => {
  calls = join(tempDir(), 'calls');
});

/** Containers by a program that is called like podman and notes its calls; each command does what is given for it. */
function runner(commands: Record<string, string>, startTimeoutMs?: number): ContainerRunner {
  const engine = `${calls}.sh`;
  const cases = Object.entries(commands).map(([command, does]) => `${command}) ${does} ;;`);
  writeFileSync(engine, `#!/bin/sh\necho "$*" >> ${calls}\ncase "$1" in\n${cases.join('\n')}\nesac\n`);
  chmodSync(engine, 0o755);
  return new ContainerRunner({
    engine,
    image: 'game:1',
    ...(startTimeoutMs !== undefined && { startTimeoutMs }),
  });
}

const called = () => (existsSync(calls) ? readFileSync(calls, 'utf8').trim().split('\n') : []);
const end = (one: ContainerRunner) => one.ended('4f66', new AbortController().signal);

it('a container is run as OpenChampPS does it', async () => {
  expect(await runner({ run: 'echo pulling; echo 4f66' }).start(REQUEST, 7001)).toBe('4f66');
  const players = JSON.stringify(REQUEST.players);
  expect(called()).toEqual([`run --rm -d -p 7001:7000 -e PLAYERS_JSON=${players} game:1 --port 7000`]);
});

it.each([
  'podman: Error: rootlessport listen tcp 0.0.0.0:7001: bind: address already in use',
  'docker: Error response from daemon: Bind for 0.0.0.0:7001 failed: port is already allocated.',
])('a port that the engine cannot have is told apart (%s)', async (text) => {
  await expect(runner({ run: `echo "${text}" >&2; exit 126` }).start(REQUEST, 7001)).rejects.toThrow(
    PortTaken,
  );
});

it('a container that starts after it was given up is stopped', async () => {
  const slow = runner({ run: 'sleep 0.5; echo late' }, 100);
  await expect(slow.start(REQUEST, 7001)).rejects.toThrow('takes longer than 0.1 s');
  await eventually(() => called().includes('stop late'));
});

it.each(['Error: no such container 4f66', 'Error: No such object: 4f66'])(
  'a container is over when the engine knows of none (%s)',
  async (text) => {
    const failing = `echo "${text}" >&2; exit 125`;
    await end(runner({ wait: failing, inspect: failing }));
    await end(runner({ wait: 'echo 0' }));
  },
);

it('a container is not over because the engine does not answer', async () => {
  const failing = 'echo "Cannot connect to the daemon. Is it running?" >&2; exit 125';
  await expect(end(runner({ wait: failing, inspect: failing }))).rejects.toThrow('Cannot connect');
  await expect(end(runner({ wait: failing, inspect: 'echo "[{}]"' }))).rejects.toThrow('wait failed');
});
