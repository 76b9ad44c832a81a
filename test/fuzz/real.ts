import { setTimeout } from 'node:timers/promises';
import { expect } from 'vitest';
import { hashToken } from '../../src/store/ids.js';
import { connect, type TestClient } from '../support/client.js';
import { eventually } from '../support/eventually.js';
import { INVALID_MESSAGE, UNKNOWN_TYPE } from '../support/expected.js';
import { eventsBySubject, type Fleet, storyOf } from '../support/fleet.js';
import type { LogEntry } from '../support/log.js';
import type { NodeProcess } from '../support/processes.js';
import type { Effect, Reference } from './reference.js';

/** The clients of a conversation with real nodes. */
export class Real {
  private readonly clients = new Map<number, TestClient>();
  private opened = 0;

  /** @param run what the names of this conversation begin with, so that no other has them */
  constructor(
    readonly fleet: Fleet,
    private readonly nodes: readonly NodeProcess[],
    private readonly run: string,
  ) {}

  /** A name of this conversation. */
  name(short: string): string {
    return `${this.run}.${short}`;
  }

  /** Opens a connection to a node and gives its number. */
  async open(node: number): Promise<number> {
    this.opened += 1;
    this.clients.set(this.opened, await connect(this.nodes[node]!.wsUrl));
    return this.opened;
  }

  /** The connection is closed. */
  forget(connection: number): void {
    this.clients.delete(connection);
  }

  client(connection: number): TestClient {
    return this.clients.get(connection)!;
  }

  /** Expects that connections see what they must, each in its order. */
  async expectEffects(effects: readonly Effect[]): Promise<void> {
    for (const { connection, message, closed } of effects) {
      const client = this.client(connection);
      if (message) expect(await client.next()).toEqual(message);
      if (closed !== undefined) {
        expect(await Promise.race([client.closed, setTimeout(PATIENCE_MS, 'not closed')])).toMatchObject({
          code: closed,
        });
        this.forget(connection);
      }
    }
  }

  /** Waits until the log says of every session what the reference does. */
  async expectRecorded(reference: Reference): Promise<void> {
    const expected = reference.stories();
    await eventually(async () => {
      const recorded = storiesByToken(await this.fleet.log());
      for (const [token, stories] of expected) expect(recorded.get(hashToken(token))).toEqual(stories);
    });
  }

  /** Expects that no connection has got anything that it should not. */
  async expectNothingElse(reference: Reference): Promise<void> {
    for (const [connection, client] of this.clients) {
      client.sendText('no message');
      expect(await client.next()).toEqual(INVALID_MESSAGE);
      client.send({ type: 'no such type' });
      const [answer] = reference.unknownType(connection);
      expect(await client.next()).toEqual(answer!.message);
      if (reference.connections.get(connection)) expect(answer!.message).toEqual(UNKNOWN_TYPE);
    }
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.clients.values()].map((client) => client.close()));
    this.clients.clear();
  }
}

const PATIENCE_MS = 5000;

/** In the order in which the sessions began. */
function storiesByToken(log: readonly LogEntry[]): Map<string, string[]> {
  const stories = new Map<string, string[]>();
  for (const events of eventsBySubject(log).values()) {
    const [{ type, data }] = events as [LogEntry];
    if (type !== 'session.started') continue;
    const token = String(data.token);
    stories.set(token, [...(stories.get(token) ?? []), storyOf(events)]);
  }
  return stories;
}
