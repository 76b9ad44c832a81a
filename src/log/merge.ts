import type { Event } from './entry.js';
import { compareEntryIds } from './entryId.js';

/** The order of events of several partitions: by id, so by time; of equal ids by partition. */
export function compareEvents(a: Event, b: Event): number {
  return a.time - b.time || compareEntryIds(a.id, b.id) || a.partition - b.partition;
}

/** Merges streams of events, each in its order, into one, by time. Holds one event of each. */
export async function* mergeEvents(streams: readonly AsyncGenerator<Event>[]): AsyncGenerator<Event> {
  const heads = await Promise.all(streams.map(async (stream) => ({ stream, event: await nextOf(stream) })));
  for (;;) {
    let first: (typeof heads)[number] | undefined;
    for (const head of heads) {
      if (head.event && (!first?.event || compareEvents(head.event, first.event) < 0)) first = head;
    }
    if (!first?.event) return;
    yield first.event;
    first.event = await nextOf(first.stream);
  }
}

async function nextOf(stream: AsyncGenerator<Event>): Promise<Event | undefined> {
  const { done, value } = await stream.next();
  return done ? undefined : value;
}
