import type { Event } from './entry.js';

/**
 * What the log says of a subject after some of its events. `version` and `time` (Redis' time in ms) are those of the
 * last one.
 */
export type Replayed<S> = { readonly version: number; readonly time: number } & (
  | { readonly status: 'whole'; readonly state: S }
  /** It can't be told: the log doesn't have its first events any more, or one that this release doesn't know. */
  | { readonly status: 'partial'; readonly reason: 'trimmed' | 'unknown' }
  /** Its events can't be: versions with gaps or doubles, or an event that can't follow on those before. */
  | { readonly status: 'broken'; readonly problem: string }
);

/**
 * The state of a subject after one more of its events. Pure.
 * @param state `undefined` before the first event
 * @throws UnknownEvent; any other Error when the event can't follow
 */
export type Evolve<S> = (state: S | undefined, event: Event) => S;

/** A type of event, or a version of its data, that a newer release has written. */
export class UnknownEvent extends Error {
  constructor({ type, dataVersion }: Event) {
    super(`${type}@${dataVersion} is not known to this release`);
  }
}

/**
 * Takes a subject one event further. Pure. It tells doubled and missing events by the versions, which go up by one from
 * 1; a subject whose first event has a later version began before the log does.
 */
export function replay<S>(before: Replayed<S> | undefined, event: Event, evolve: Evolve<S>): Replayed<S> {
  const { version, time } = event;
  if (before?.status === 'broken') return { ...before, version, time };

  const expected = before ? before.version + 1 : version;
  if (version !== expected || version < 1) {
    const where = before ? `follows on version ${before.version}` : 'is the first';
    return { status: 'broken', version, time, problem: `version ${version} ${where} ${inEntry(event)}` };
  }
  if (before?.status === 'partial') return { ...before, version, time };
  if (!before && version > 1) return { status: 'partial', version, time, reason: 'trimmed' };

  try {
    return { status: 'whole', version, time, state: evolve(before?.state, event) };
  } catch (error) {
    if (error instanceof UnknownEvent) return { status: 'partial', version, time, reason: 'unknown' };
    return { status: 'broken', version, time, problem: `${(error as Error).message} ${inEntry(event)}` };
  }
}

/** Replays events of any subjects, those of each in their order. Pure. */
export function replayAll<S>(events: Iterable<Event>, evolve: Evolve<S>): Map<string, Replayed<S>> {
  const subjects = new Map<string, Replayed<S>>();
  for (const event of events) {
    subjects.set(event.subject, replay(subjects.get(event.subject), event, evolve));
  }
  return subjects;
}

function inEntry({ partition, id }: Event): string {
  return `(event ${partition}:${id})`;
}
