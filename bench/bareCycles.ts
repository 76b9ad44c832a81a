import uWebSockets, { type WebSocket } from 'uWebSockets.js';
import { ANSWERS, authSuccess, type Frame } from '../src/protocol/answers.js';
import { BareLog, eventsOfCycle } from './events.js';

/**
 * The least that a cycle of `token_auth` and `logout` takes when both are recorded: a bare uWebSockets.js server answers each
 * message once an event is in a stream of a bare Redis, many events in a call. It reads no message, checks nothing and keeps
 * nothing.
 */

interface UserData {
  isOpen: boolean;
  isIn: boolean;
}

/** As the gateway: calls under way, and events in a call. */
const LANES = 2;
const GROUP = 256;

const AUTH_SUCCESS = authSuccess('player-1', '00000000-0000-4000-8000-000000000000');
const [STARTED, LOGGED_OUT] = eventsOfCycle();

const log = await BareLog.open(process.argv[2]!);
const waiting: WebSocket<UserData>[] = [];
let free = LANES;
let isScheduled = false;

function schedule(): void {
  if (isScheduled) return;
  isScheduled = true;
  setImmediate(() => {
    isScheduled = false;
    recordAll();
  });
}

function recordAll(): void {
  while (free > 0 && waiting.length > 0) {
    free -= 1;
    void record(waiting.splice(0, GROUP));
  }
}

async function record(sockets: readonly WebSocket<UserData>[]): Promise<void> {
  const clients = sockets.map((socket) => socket.getUserData());
  await log.record(clients.map(({ isIn }) => (isIn ? LOGGED_OUT : STARTED)));
  free += 1;
  recordAll();
  for (let i = 0; i < sockets.length; i += 1) {
    const data = clients[i]!;
    if (!data.isOpen) continue;
    data.isIn = !data.isIn;
    const answer: Frame = data.isIn ? AUTH_SUCCESS : ANSWERS.loggedOut;
    sockets[i]!.send(answer);
  }
}

uWebSockets
  .App()
  .ws<UserData>('/ws', {
    idleTimeout: 60,
    upgrade(response, request, context) {
      response.upgrade(
        { isOpen: true, isIn: false },
        request.getHeader('sec-websocket-key'),
        request.getHeader('sec-websocket-protocol'),
        request.getHeader('sec-websocket-extensions'),
        context,
      );
    },
    message(socket) {
      waiting.push(socket);
      schedule();
    },
    close(socket) {
      socket.getUserData().isOpen = false;
      const at = waiting.indexOf(socket);
      if (at >= 0) waiting.splice(at, 1);
    },
  })
  .listen('127.0.0.1', 0, (socket) => {
    if (!socket) throw new Error('The bare server finds no port.');
    process.send!({ port: uWebSockets.us_socket_local_port(socket) });
  });
process.once('disconnect', () => process.exit());
