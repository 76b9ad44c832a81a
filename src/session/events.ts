import type { EventData } from '../contract/events.generated.js';

/** What can happen to a session, past tense. The data of each is described in `schemas/events/`. */
export type SessionEventType = Extract<keyof EventData, `session.${string}` | `queue.${string}`>;

export type SessionEvent = {
  [T in SessionEventType]: { readonly type: T; readonly data: Readonly<EventData[T]> };
}[SessionEventType];
