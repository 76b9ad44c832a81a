import type { Frame } from '../protocol/answers.js';

/** What the gateway needs of a WebSocket; all there is to uWebSockets as the rest knows it. */
export interface Socket {
  /** Sends a text frame. A client that reads too slowly is cut off. */
  send(frame: Frame): void;
  /** Whether it gets what is published for all sessions. */
  listen(isListening: boolean): void;
  /** Closes with a closing frame. */
  close(code: number, reason: string): void;
}
