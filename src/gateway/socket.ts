import type { Frame } from '../protocol/answers.js';

/** What a connection needs of a WebSocket, which that of uWebSockets has. It must not be used once it is closed. */
export interface Socket {
  /** Sends a text frame. A client that reads too slowly is cut off. */
  send(frame: Frame): unknown;
  /** What is sent in `work` leaves in one piece. */
  cork(work: () => void): unknown;
  /** Closes with a closing frame. */
  end(code: number, reason: string): unknown;
}
