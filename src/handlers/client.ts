import type { Holder } from '../cluster/presence.js';
import type { Frame } from '../protocol/answers.js';
import type { Close } from '../protocol/errors.js';

/** A connection as handlers see it. */
export interface Client extends Holder {
  /** What the client is counted under, see `ClientAddresses`. */
  readonly address: string;
  readonly isOpen: boolean;
  /** Sends a frame; does nothing once the connection is closed. */
  send(frame: Frame): void;
  close(close: Close): void;
}
