import type { Logger } from 'pino';
import type { Loss, OutsideEnd } from '../cluster/presence.js';
import type { RedisClient } from '../redis/client.js';
import type { Keys } from '../redis/keys.js';

export interface BusOptions {
  readonly keys: Keys;
  readonly node: string;
  /** Connection to publish on. */
  readonly publisher: RedisClient;
  /** Opens a connection to subscribe with. */
  readonly connectSubscriber: () => RedisClient;
  readonly logger: Logger;
  /** A session of this node was lost; `connection` tells which connection must have had it. */
  readonly onLoss: (sessionId: string, loss: Loss, connection?: number) => void;
  /**
   * The node is subscribed, again or for the first time, so that it may have missed what was published before; or it was
   * taken for lost.
   */
  readonly onDoubt: () => void;
}

/** What nodes tell each other, as JSON. */
type Message =
  | { readonly type: 'ended'; readonly session: string; readonly by: OutsideEnd }
  | { readonly type: 'taken_over'; readonly session: string; readonly connection: number }
  | { readonly type: 'reaped' }
  | { readonly type: 'echo' };

const ECHO_EVERY_MS = 1000;
const ECHO_MISSING_MS = 3000;
const SUBSCRIBE_TIMEOUT_MS = 5000;
const RESUBSCRIBE_DELAY_MS = 100;

/** Tells the node of a session what has become of it. Each node has a channel of its own. Its methods never reject. */
export class Notices {
  constructor(
    private readonly publisher: RedisClient,
    private readonly keys: Keys,
    private readonly logger: Logger,
  ) {}

  /** A session of a node was ended from outside. */
  ended(node: string, session: string, by: OutsideEnd): Promise<void> {
    return this.send(node, { type: 'ended', session, by });
  }

  /** A session was taken over from a connection of a node. */
  takenOver(node: string, session: string, connection: number): Promise<void> {
    return this.send(node, { type: 'taken_over', session, connection });
  }

  /** Sessions of a node were detached because it was taken for lost: should it live after all, it has to compare. */
  reaped(node: string): Promise<void> {
    return this.send(node, { type: 'reaped' });
  }

  /** To oneself, to see whether the subscription lives. */
  echo(node: string): Promise<void> {
    return this.send(node, { type: 'echo' });
  }

  /** What can't be sent is found out by the node itself, when it compares its sessions with the stored ones. */
  private async send(node: string, message: Message): Promise<void> {
    const channel = this.keys.nodeChannel(node);
    const { raw, isCluster } = this.publisher;
    const text = JSON.stringify(message);
    try {
      await (isCluster ? raw.spublish(channel, text) : raw.publish(channel, text));
    } catch (error) {
      this.logger.debug({ err: error, to: node, type: message.type }, 'notice could not be sent');
    }
  }
}

/**
 * Between the nodes: each listens to its own channel (by shard on a Redis Cluster). It is fast and never the only copy of
 * a fact. A subscription that breaks is made again, also one that has gone deaf without a sign: the node hears itself.
 */
export class Bus {
  readonly notices: Notices;
  private subscriber: RedisClient | null = null;
  private echoTimer: NodeJS.Timeout | undefined;
  private heardAt = 0;
  private closed = false;

  constructor(private readonly options: BusOptions) {
    this.notices = new Notices(options.publisher, options.keys, options.logger);
  }

  /** Starts to listen, and goes on until `close`. */
  start(): void {
    void this.subscribe();
    this.echoTimer = setInterval(() => this.listenForEcho(), ECHO_EVERY_MS);
  }

  close(): void {
    this.closed = true;
    clearInterval(this.echoTimer);
    this.subscriber?.close();
  }

  /** Whether the node hears what others tell it. */
  get isSubscribed(): boolean {
    return this.subscriber !== null && this.heardAt > 0;
  }

  private async subscribe(): Promise<void> {
    const { keys, node, logger, connectSubscriber, onDoubt } = this.options;
    while (!this.closed) {
      const subscriber = connectSubscriber();
      this.subscriber = subscriber;
      this.heardAt = 0;
      try {
        await subscriber.ready(SUBSCRIBE_TIMEOUT_MS);
        const { raw, isCluster } = subscriber;
        const broken = new Promise<void>((resolve) => {
          for (const event of ['close', 'end', '-subscriber']) raw.once(event, () => resolve());
        });
        raw.on(isCluster ? 'smessage' : 'message', (_channel: string, text: string) => this.receive(text));
        const channel = keys.nodeChannel(node);
        await answered(isCluster ? raw.ssubscribe(channel) : raw.subscribe(channel));
        this.heardAt = performance.now();
        onDoubt();
        await broken;
        if (!this.closed) logger.warn('bus subscription broke, subscribing again');
      } catch (error) {
        if (!this.closed) logger.debug({ err: error }, 'bus subscription failed');
      }
      subscriber.close();
      if (!this.closed) await new Promise((resolve) => setTimeout(resolve, RESUBSCRIBE_DELAY_MS));
    }
  }

  private listenForEcho(): void {
    if (!this.options.publisher.isReady || this.heardAt === 0) return;
    if (performance.now() - this.heardAt > ECHO_MISSING_MS) {
      this.options.logger.warn('bus subscription has gone deaf');
      this.subscriber?.close();
      return;
    }
    void this.notices.echo(this.options.node);
  }

  private receive(text: string): void {
    this.heardAt = performance.now();
    try {
      const message = JSON.parse(text) as Message;
      if (message.type === 'ended') this.options.onLoss(message.session, message.by);
      if (message.type === 'reaped') this.options.onDoubt();
      if (message.type === 'taken_over') {
        this.options.onLoss(message.session, 'taken_over', message.connection);
      }
    } catch (error) {
      this.options.logger.warn({ err: error }, 'bus message could not be read');
    }
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
