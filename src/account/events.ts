import type { EventData } from '../contract/events.generated.js';

/** What can happen to an account, past tense. The data of each is described in `schemas/events/`. */
export type AccountEventType = Extract<keyof EventData, `account.${string}` | `token.${string}`>;

export type AccountEvent = {
  [T in AccountEventType]: { readonly type: T; readonly data: Readonly<EventData[T]> };
}[AccountEventType];
