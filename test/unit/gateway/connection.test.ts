import { beforeEach, describe, expect, it } from 'vitest';
import { HeldSession } from '../../../src/cluster/presence.js';
import { Connection, type ConnectionRules } from '../../../src/gateway/connection.js';
import { Rate } from '../../../src/gateway/rate.js';
import type { Socket } from '../../../src/gateway/socket.js';
import type { Dispatch } from '../../../src/handlers/dispatch.js';
import type { Frame } from '../../../src/protocol/answers.js';

/** What would be sent. */
let sent: string[];
let finished: number;
/** Messages that are being handled; each ends when it is called. */
let underWay: (() => void)[];
let connection: Connection;
let onSend: () => void;

const textOf = (frame: Frame) => (typeof frame === 'string' ? frame : Buffer.from(frame).toString());

const socket: Socket = {
  send(frame) {
    sent.push(textOf(frame));
    onSend();
  },
  cork(work) {
    work();
  },
  end() {
    connection.closed();
  },
};

/** Types that begin with `slow` take longer. */
const dispatch: Dispatch = (client, { type }, _cameAt, done) => {
  const handle = () => client.send(`answer to ${type}`);
  if (!type.startsWith('slow')) {
    handle();
    return false;
  }
  underWay.push(() => {
    handle();
    done(client);
  });
  return true;
};

const rules: ConnectionRules = {
  maxMessageBytes: 1000,
  rate: new Rate(0, 0),
  mailboxMessages: 2,
  mailboxBytes: 1000,
  read: (bytes) => JSON.parse(textOf(bytes)) as { type: string },
  dispatch,
  finished() {
    finished += 1;
  },
  count() {},
  closing() {},
};

beforeEach(() => {
  sent = [];
  underWay = [];
  finished = 0;
  onSend = () => {};
  connection = new Connection(1, '127.0.0.1', socket, rules);
});

function receive(type: string): void {
  connection.receive(Uint8Array.from(Buffer.from(JSON.stringify({ type }))).buffer, false);
}

function hold(heldSince = 10): void {
  const attachment = { node: 'n', connection: 1 };
  const common = { accountId: 'a', token: 't', isRenamed: false, play: null, since: 0 };
  const state = { status: 'attached', attachment, ...common } as const;
  connection.session = new HeldSession('s', 'jane.doe', { version: 1, displayName: null, state }, heldSince);
}

describe('a connection', () => {
  it('handles one message after the other', () => {
    for (const type of ['quick', 'slow one', 'quick two', 'slow three']) receive(type);
    expect(sent).toEqual(['answer to quick']);
    expect(connection.isBusy).toBe(true);
    underWay.shift()!();
    expect(sent).toEqual(['answer to quick', 'answer to slow one', 'answer to quick two']);
    expect(connection.isBusy).toBe(true);
    underWay.shift()!();
    expect(sent.at(-1)).toBe('answer to slow three');
    expect(connection.isBusy).toBe(false);
  });

  it('is finished once, when its last message is handled', () => {
    receive('slow one');
    receive('slow two');
    connection.closed();
    expect(finished).toBe(0);
    underWay.shift()!(); // what waits is dropped
    expect([finished, underWay.length, sent]).toEqual([1, 0, []]);
  });

  it('is drained at once if it is idle, else when its messages are handled, and takes no more', async () => {
    await connection.drain();
    receive('quick');
    expect(sent).toEqual([]);

    connection = new Connection(2, '127.0.0.1', socket, rules);
    receive('slow one');
    let isDrained = false;
    const drained = connection.drain().then(() => {
      isDrained = true;
    });
    receive('quick');
    await Promise.resolve();
    expect(isDrained).toBe(false);
    underWay.shift()!();
    await drained;
    expect(sent).toEqual(['answer to slow one']);
  });

  it('hears what is said to all while it has a session, and had it before', () => {
    connection.hear(['no session'], 20);
    hold();
    connection.hear(['one'], 20);
    connection.hear(['two', 'three'], 20);
    hold(30);
    connection.hear(['before its session'], 20);
    connection.session = null;
    connection.hear(['no session any more'], 40);
    expect(sent).toEqual(['one', 'two', 'three']);
  });

  it('sends nothing once it is closed, not even in the middle', () => {
    hold();
    onSend = () => connection.closed();
    connection.hear(['one', 'two'], 20);
    connection.hear(['three'], 20);
    expect(sent).toEqual(['one']);
  });
});
