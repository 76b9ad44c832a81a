import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Event, parseEntry } from '../../../src/log/entry.js';
import { compareEvents, mergeEvents } from '../../../src/log/merge.js';

it('merges ordered streams by time, losing and doubling none', async () => {
  const id = fc.tuple(fc.nat(5), fc.nat(12)).map(([ms, sequence]) => `${ms}-${sequence}`);
  const streams = fc.array(fc.uniqueArray(id, { maxLength: 12 }), { maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(streams, async (ids) => {
      const logs = ids.map((own, partition) => own.map((each) => event(partition, each)).sort(compareEvents));
      const merged: Event[] = [];
      for await (const each of mergeEvents(logs.map(stream))) merged.push(each);
      expect(merged).toEqual(logs.flat().sort(compareEvents));
    }),
  );
});

async function* stream(events: readonly Event[]): AsyncGenerator<Event> {
  yield* events;
}

function event(partition: number, id: string): Event {
  return parseEntry(partition, id, ['e', 'a b 1 n {}']);
}
