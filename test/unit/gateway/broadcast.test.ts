import { expect, it } from 'vitest';
import { Broadcast, type Listener } from '../../../src/gateway/broadcast.js';
import type { Frame } from '../../../src/protocol/answers.js';

class Ear implements Listener {
  readonly heard: string[] = [];
  /** How many frames came at a time. */
  readonly together: number[] = [];

  /** When what it has heard began to be told. */
  since: number[] = [];

  hear(frames: readonly Frame[], since: number): void {
    this.together.push(frames.length);
    this.since.push(since);
    for (const frame of frames) this.heard.push(Buffer.from(frame as ArrayBuffer).toString());
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

it('tells everybody everything in order, and together what was published in one turn', async () => {
  const ears = [new Ear(), new Ear()];
  const broadcast = new Broadcast(() => ears.values());
  broadcast.publish('one');
  broadcast.publish('two – 二');
  expect(ears[0]!.heard).toEqual([]);
  await turn();
  broadcast.publish('three');
  await turn();
  for (const { heard, together } of ears) {
    expect(heard).toEqual(['one', 'two – 二', 'three']);
    expect(together).toEqual([2, 1]);
  }
});

it('lets others have their turn while it tells many, and tells what comes meanwhile afterwards', async () => {
  const ears = new Set(Array.from({ length: 3000 }, () => new Ear()));
  const broadcast = new Broadcast(() => ears.values());
  const told = () => [...ears].filter(({ heard }) => heard.length > 0).length;
  broadcast.publish('one');
  await turn();
  expect(told()).toBe(1024);
  broadcast.publish('two');
  const [first] = ears;
  ears.delete([...ears].at(-1)!); // it is gone before its turn
  while ([...ears].some(({ heard }) => heard.length < 2)) await turn();
  for (const { heard } of ears) expect(heard).toEqual(['one', 'two']);
  expect(first!.together).toEqual([1, 1]);
  const [begins] = [first!.since];
  for (const { since } of ears) expect(since).toEqual(begins); // of all, also those who were told later
});

it('has as much to do in a turn whether one frame or many are told, and tells only so many together', async () => {
  const ears = Array.from({ length: 200 }, () => new Ear());
  const broadcast = new Broadcast(() => ears.values());
  const all = Array.from({ length: 100 }, (_, i) => `${i}`);
  for (const frame of all) broadcast.publish(frame);
  await turn();
  expect(ears.filter(({ heard }) => heard.length > 0).length).toBe(1024 / 64);
  while (ears.some(({ heard }) => heard.length < all.length)) await turn();
  for (const { heard, together } of ears) {
    expect(heard).toEqual(all);
    expect(together).toEqual([64, 36]);
  }
});
