import { createServer } from 'node:net';

/**
 * A program that stands for a game server while there is none: it listens on `PORT`, tells whoever connects who plays, and
 * ends when the last one has gone, or nobody comes.
 */
const PATIENCE_MS = Number(process.env.PATIENCE_MS ?? 60_000);

let guests = 0;
let patience = setTimeout(leave, PATIENCE_MS);

const server = createServer((socket) => {
  guests += 1;
  clearTimeout(patience);
  socket.on('error', () => {});
  socket.on('close', () => {
    guests -= 1;
    if (guests === 0) patience = setTimeout(leave, 1000);
  });
  socket.write(`${process.env.PLAYERS_JSON}\n`);
  socket.resume();
});
server.listen(Number(process.env.PORT), () => process.send?.('listening'));

function leave(): void {
  process.exit(0);
}
