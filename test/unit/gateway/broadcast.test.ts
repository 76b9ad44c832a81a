import { expect, it } from 'vitest';
import { Broadcast, type Listener } from '../../../src/gateway/broadcast.js';
import type { Frame } from '../../../src/protocol/answers.js';

class Ear implements Listener {
  readonly heard: string[] = [];
  /** How many frames came at a time. */
  readonly together: number[] = [];

  hear(frames: readonly Frame[]): void {
    this.together.push(frames.length);
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
  const late = new Ear();
  ears.add(late);
  while ([...ears].some(({ heard }) => heard.length < 2)) await turn();
  for (const { heard } of ears) expect(heard).toEqual(['one', 'two']);
  expect(first!.together).toEqual([1, 1]);
});
