import type { Holder } from '../cluster/presence.js';
import type { Frame } from '../protocol/answers.js';
import type { Close } from '../protocol/errors.js';

/** What became of a message: done, refused for what it was, or not done although it might have been. */
export type Result = 'ok' | 'refused' | 'unavailable';

/** A connection as handlers see it. */
export interface Client extends Holder {
  /** What the client is counted under, see `ClientAddresses`. */
  readonly address: string;
  readonly isOpen: boolean;
  /** What has become of the message that is being handled, as far as it is. */
  readonly result: Result;
  /** Sends a frame; does nothing once the connection is closed. */
  send(frame: Frame): void;
  /** Sends the answer to a message that is refused. */
  refuse(frame: Frame): void;
  /** Sends the answer to a message that can't be served now. */
  fail(frame: Frame): void;
  close(close: Close): void;
}
