import type { Logger } from 'pino';
import type { Population } from '../cluster/population.js';
import type { Loss } from '../cluster/presence.js';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';
import { type Notice, Publisher } from './publisher.js';

export interface BusOptions {
  readonly keys: Keys;
  readonly node: string;
  /** Connection to publish on. */
  readonly redis: RedisClient;
  /** Opens a connection to subscribe with. */
  readonly connectSubscriber: () => RedisClient;
  readonly logger: Logger;
  /** Hears the heartbeats of all nodes. */
  readonly population: Population;
  /** Open connections of this node. */
  readonly connections: () => number;
  /** A session of this node was lost; `connection` tells which connection must have had it. */
  readonly onLoss: (sessionId: string, loss: Loss, connection?: number) => void;
  /** Somebody has said something to all: a frame for every session of this node. */
  readonly onGlobalChat: (frame: string) => void;
  /** A frame for some sessions of this node. */
  readonly onDelivery: (sessions: readonly string[], frame: string) => void;
  /**
   * The node is subscribed, again or for the first time, so that it may have missed what was published before; or it was
   * taken for lost.
   */
  readonly onDoubt: () => void;
  /** An operator wants the node to go. */
  readonly onDrain: (by: string) => void;
}

/** How often a node says how many connections it has, in ms. */
const HEARTBEAT_MS = 500;

/** A node that has not been heard for three of its heartbeats is not there: no number is older than two seconds. */
export const SILENCE_MS = 3 * HEARTBEAT_MS;

/** A subscription that hears nothing for so long, not even the node's own heartbeat, has gone deaf, in ms. */
const DEAF_MS = 3000;

const SUBSCRIBE_TIMEOUT_MS = 5000;

/** How soon it is subscribed again, in ms: later and later while nothing is heard. */
const RESUBSCRIBE_MIN_MS = 100;
const RESUBSCRIBE_MAX_MS = 5000;

/**
 * Between the nodes: each listens to its own channel, and to those of all. It is fast and never the only copy of a fact. A
 * subscription that breaks is made again, also one that has gone deaf without a sign: the node hears its own heartbeat.
 */
export class Bus {
  readonly publisher: Publisher;
  private subscriber: RedisClient | null = null;
  private timer: NodeJS.Timeout | undefined;
  /** By `performance.now()`; 0: it isn't subscribed. */
  private subscribedAt = 0;
  /** When anything was heard last, by this subscription; 0: nothing yet. */
  private heardAt = 0;
  private resubscribeMs = RESUBSCRIBE_MIN_MS;
  /** How often it has subscribed. */
  subscriptions = 0;
  private closed = false;

  constructor(private readonly options: BusOptions) {
    this.publisher = new Publisher(options.redis, options.keys, options.logger);
  }

  /** Starts to listen and to be heard, and goes on until `close`. */
  start(): void {
    void this.subscribe();
    this.timer = setInterval(() => this.beat(), HEARTBEAT_MS);
  }

  /** Hears nothing any more, and says that the node has no connections. Never rejects. */
  async close(): Promise<void> {
    this.closed = true;
    clearInterval(this.timer);
    this.subscriber?.close();
    await this.publisher.heartbeat({ node: this.options.node, connections: 0 });
  }

  /** Whether the node hears: not only that it has subscribed, but that something has come, be it its own heartbeat. */
  get isHearing(): boolean {
    return this.heardAt > 0;
  }

  private async subscribe(): Promise<void> {
    const { keys, node, logger, connectSubscriber, onDoubt } = this.options;
    const channels = [keys.nodeChannel(node), keys.heartbeatChannel(), keys.chatChannel()];
    while (!this.closed) {
      const subscriber = connectSubscriber();
      this.subscriber = subscriber;
      this.subscribedAt = 0;
      this.heardAt = 0;
      try {
        await subscriber.ready(SUBSCRIBE_TIMEOUT_MS);
        const { raw, isCluster } = subscriber;
        const broken = new Promise<void>((resolve) => {
          for (const event of ['close', 'end', '-subscriber']) raw.once(event, () => resolve());
        });
        raw.on(isCluster ? 'smessage' : 'message', (channel: string, text: string) =>
          this.receive(channel, text),
        );
        await answered(isCluster ? raw.ssubscribe(...channels) : raw.subscribe(...channels));
        this.subscribedAt = performance.now();
        this.subscriptions += 1;
        onDoubt();
        this.beat();
        await broken;
        if (!this.closed) logger.warn('bus subscription broke, subscribing again');
      } catch (error) {
        if (!this.closed) logger.debug({ err: error }, 'bus subscription failed');
      }
      subscriber.close();
      this.subscribedAt = 0;
      if (this.heardAt > 0) this.resubscribeMs = RESUBSCRIBE_MIN_MS;
      this.heardAt = 0;
      if (!this.closed) await new Promise((resolve) => setTimeout(resolve, this.resubscribeMs));
      this.resubscribeMs = Math.min(2 * this.resubscribeMs, RESUBSCRIBE_MAX_MS);
    }
  }

  private beat(): void {
    const { redis, node, connections, logger } = this.options;
    if (!redis.isReady || this.subscribedAt === 0) return;
    if (performance.now() - Math.max(this.subscribedAt, this.heardAt) > DEAF_MS) {
      logger.warn('bus subscription has gone deaf');
      this.subscriber?.close();
      return;
    }
    void this.publisher.heartbeat({ node, connections: connections() });
  }

  private receive(channel: string, text: string): void {
    const { keys, population, onGlobalChat, logger } = this.options;
    this.heardAt = performance.now();
    try {
      if (channel === keys.chatChannel()) onGlobalChat(text);
      else if (channel === keys.heartbeatChannel()) population.hear(JSON.parse(text));
      else this.take(JSON.parse(text));
    } catch (error) {
      logger.warn({ err: error }, 'bus message could not be read');
    }
  }

  private take(notice: Notice): void {
    const { onLoss, onDoubt, onDelivery, onDrain } = this.options;
    if (notice.type === 'ended') onLoss(notice.session, notice.by);
    else if (notice.type === 'taken_over') onLoss(notice.session, 'taken_over', notice.connection);
    else if (notice.type === 'reaped') onDoubt();
    else if (notice.type === 'drain') onDrain(notice.by);
    else if (notice.type === 'frame') onDelivery(notice.sessions, notice.frame);
  }
}

/** An answer that must not take for ever: a connection that hangs is as good as broken. */
async function answered(answer: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(reject, SUBSCRIBE_TIMEOUT_MS, new Error('Redis does not answer'));
  });
  try {
    await Promise.race([answer, silence]);
  } finally {
    clearTimeout(timer);
  }
}
