import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { CommandRunner } from '../../src/game/command.js';
import { startTimeByPs, startTimeOf } from '../../src/game/startTime.js';
import { within } from '../../src/within.js';
import { onFreePorts } from '../support/ports.js';

const SOON_MS = 10_000;

/** Starts a program as a game server. @returns how it went: `refused`, `ended`, or `never` if its end is not noticed */
async function outcomeOf(command: string): Promise<string> {
  const runner = new CommandRunner(command, process.env);
  const id = await onFreePorts(1, ([port]) =>
    runner.start({ match: 'm', players: [] }, port!).catch(() => null),
  );
  if (id === null) return 'refused';
  const end = runner.ended(id, new AbortController().signal).then(() => 'ended');
  return (await within(SOON_MS, end)) ?? 'never';
}

it('the end of a program is noticed whenever it comes', async () => {
  const lives = Array.from({ length: 60 }, (_, i) => `exec sleep ${(0.17 + i / 1000).toFixed(3)}`);
  const outcomes = await Promise.all(lives.map(outcomeOf));
  expect(new Set(outcomes)).not.toContain('never');
});

it('a program that is not there, or ends at once, is refused', async () => {
  expect(await outcomeOf('/no/such/program')).toBe('refused');
  expect(await outcomeOf('exit 3')).toBe('refused');
});

it('whoever has not started a program knows whether it runs, and is told when to wait no more', async () => {
  const runner = new CommandRunner('exec sleep 60', process.env);
  const id = await onFreePorts(1, ([port]) => runner.start({ match: 'm', players: [] }, port!));
  const other = new CommandRunner(undefined, process.env);
  const leaving = new AbortController();
  const ends = [runner, other].map((one) => one.ended(id, leaving.signal));
  leaving.abort(new Error('leaving'));
  for (const end of ends) await expect(end).rejects.toThrow('leaving');

  const pidAlone = `${Number.parseInt(id, 10)}:`;
  await other.ended(pidAlone, new AbortController().signal); // without a time it is nobody
  await other.stop(id);
  await Promise.all([runner, other].map((one) => one.ended(id, new AbortController().signal)));
});

it('the start of a process is told with and without /proc', async () => {
  const child = spawn('sleep', ['60']);
  const pid = child.pid!;
  const [time, byPs] = [await startTimeOf(pid), await startTimeByPs(pid)];
  expect(time).toMatch(/^\d+$/);
  expect(byPs).toMatch(/^\w{3}_\w{3}_\d+_\d\d\.\d\d\.\d\d_\d{4}$/);
  expect([await startTimeOf(pid), await startTimeByPs(pid)]).toEqual([time, byPs]);
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
  expect([await startTimeOf(pid), await startTimeByPs(pid)]).toEqual(['', '']);
});
