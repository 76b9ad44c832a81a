import type { RecognizedString, us_listen_socket } from 'uWebSockets.js';

/** What the package has and its own types leave out. */
declare module 'uWebSockets.js' {
  /** Option of `listen`: fails if the port is taken, instead of sharing it. */
  const LIBUS_LISTEN_EXCLUSIVE_PORT: number;

  interface TemplatedApp {
    listen(
      host: RecognizedString,
      port: number,
      options: number,
      callback: (listenSocket: us_listen_socket | false) => void,
    ): TemplatedApp;
  }
}
