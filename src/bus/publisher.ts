import type { Logger } from 'pino';
import type { Heartbeat } from '../cluster/population.js';
import type { OutsideEnd } from '../cluster/presence.js';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { reading } from '../redis/unavailable.js';

/** What one node is told, as JSON. A node that doesn't know a type, of a later release, leaves it. */
export type Notice =
  | { readonly type: 'ended'; readonly session: string; readonly by: OutsideEnd }
  | { readonly type: 'taken_over'; readonly session: string; readonly connection: number }
  | { readonly type: 'reaped' }
  /** Nothing to do: whoever sends it wants to know whether it is heard. */
  | { readonly type: 'knock' }
  /** An operator (`by`) wants the node to go, as by SIGTERM. */
  | { readonly type: 'drain'; readonly by: string }
  | { readonly type: 'frame'; readonly sessions: readonly string[]; readonly frame: string };

/** Publishes to the nodes. */
export class Publisher {
  constructor(
    private readonly redis: RedisClient,
    private readonly keys: Keys,
    private readonly logger: Logger,
  ) {}

  /** A session of a node was ended from outside. Never rejects. */
  ended(node: string, session: string, by: OutsideEnd): Promise<void> {
    return this.notify(node, { type: 'ended', session, by });
  }

  /** A session was taken over from a connection of a node. Never rejects. */
  takenOver(node: string, session: string, connection: number): Promise<void> {
    return this.notify(node, { type: 'taken_over', session, connection });
  }

  /** Whether a node hears what it is told. @throws Unavailable */
  async isHeardBy(node: string): Promise<boolean> {
    const notice: Notice = { type: 'knock' };
    return (await reading(this.publish(this.keys.nodeChannel(node), JSON.stringify(notice)))) > 0;
  }

  /** Sessions of a node were detached because it was taken for lost: should it live after all, it has to compare. Never rejects. */
  reaped(node: string): Promise<void> {
    return this.notify(node, { type: 'reaped' });
  }

  /** A node is to go, as by SIGTERM; `by` says who wants it. @returns whether it has heard that @throws Unavailable */
  async drain(node: string, by: string): Promise<boolean> {
    const notice: Notice = { type: 'drain', by };
    return (await reading(this.publish(this.keys.nodeChannel(node), JSON.stringify(notice)))) > 0;
  }

  /** This node lives. Never rejects. */
  async heartbeat(beat: Heartbeat): Promise<void> {
    await this.publish(this.keys.heartbeatChannel(), JSON.stringify(beat)).catch((error: unknown) => {
      this.logger.debug({ err: error }, 'heartbeat could not be sent');
    });
  }

  /** A frame for every session. @throws Unavailable */
  async chatWithAll(frame: string): Promise<void> {
    await reading(this.publish(this.keys.chatChannel(), frame));
  }

  /** A frame for some sessions of a node. @throws Unavailable */
  async deliver(node: string, sessions: readonly string[], frame: string): Promise<void> {
    const notice: Notice = { type: 'frame', sessions, frame };
    await reading(this.publish(this.keys.nodeChannel(node), JSON.stringify(notice)));
  }

  /** What can't be sent is found out by the node itself, when it compares its sessions with the stored ones. */
  private async notify(node: string, notice: Notice): Promise<void> {
    try {
      await this.publish(this.keys.nodeChannel(node), JSON.stringify(notice));
    } catch (error) {
      this.logger.debug({ err: error, to: node, type: notice.type }, 'notice could not be sent');
    }
  }

  /** @returns how many have heard it */
  private async publish(channel: string, text: string): Promise<number> {
    const { raw, isCluster } = this.redis;
    return Number(await (isCluster ? raw.spublish(channel, text) : raw.publish(channel, text)));
  }
}
