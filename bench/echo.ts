import uWebSockets from 'uWebSockets.js';

/** A bare uWebSockets.js server that sends every message back. */
uWebSockets
  .App()
  .ws('/*', {
    maxPayloadLength: 65_536,
    idleTimeout: 60,
    message(socket, message, isBinary) {
      socket.send(message, isBinary);
    },
  })
  .listen('127.0.0.1', 0, (socket) => {
    if (!socket) throw new Error('The echo server finds no port.');
    process.send!({ port: uWebSockets.us_socket_local_port(socket) });
  });
process.once('disconnect', () => process.exit());
