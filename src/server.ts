import type { Logger } from 'pino';
import { Attempts } from './account/attempts.js';
import { Pace } from './account/pace.js';
import { Passwords } from './account/passwords.js';
import { Bus, SILENCE_MS } from './bus/bus.js';
import { Leases } from './cluster/lease.js';
import { Population } from './cluster/population.js';
import { Presence } from './cluster/presence.js';
import { Reconciler } from './cluster/reconcile.js';
import type { Config } from './config/config.js';
import { compileClientValidators, compileEnvelopeValidator } from './contract/validators.js';
import type { Deployment } from './deployment.js';
import { drain } from './gateway/drain.js';
import { Gateway } from './gateway/gateway.js';
import { Rate } from './gateway/rate.js';
import { Tally } from './gateway/tally.js';
import type { Client, Result } from './handlers/client.js';
import type { Context } from './handlers/context.js';
import { countHandler } from './handlers/count.js';
import { dispatcher } from './handlers/dispatch.js';
import { globalChatHandler } from './handlers/globalChat.js';
import { abandon, detach } from './handlers/hold.js';
import { httpRegister } from './handlers/httpRegister.js';
import { loginHandler } from './handlers/login.js';
import { logoutHandler } from './handlers/logout.js';
import { logoutAllHandler } from './handlers/logoutAll.js';
import { privateChatHandler } from './handlers/privateChat.js';
import { joinQueueHandler, leaveQueueHandler } from './handlers/queue.js';
import { registerHandler } from './handlers/register.js';
import { setUsernameHandler } from './handlers/setUsername.js';
import { tokenAuthHandler } from './handlers/tokenAuth.js';
import { MatchJobs } from './jobs/matches.js';
import { CLOSE } from './protocol/errors.js';
import { messageReader } from './protocol/read.js';
import { Limiter } from './redis/limiter.js';
import { bucketOfId } from './store/ids.js';
import type { Tracing } from './tracing/tracing.js';
import { within } from './within.js';

/** How long a node that goes may take to record what is still to be recorded, after its clients have been sent away. */
const FLUSH_MS = 5000;

const CLOSING_MS = 100;

/** Over how long the rates of chat and of changes are averages. */
const CHAT_SECONDS = 10;
const CHANGE_SECONDS = 60;

const HANDLERS = [
  registerHandler,
  loginHandler,
  tokenAuthHandler,
  logoutHandler,
  logoutAllHandler,
  setUsernameHandler,
  countHandler,
  globalChatHandler,
  privateChatHandler,
  joinQueueHandler,
  leaveQueueHandler,
];

/** A gateway node: clients connect to it. */
export interface Server {
  readonly port: number;
  readonly connections: number;
  readonly sessions: number;
  readonly passwordsQueued: number;
  /** Messages that were handled, by type; see `Tally`. */
  readonly messages: ReadonlyMap<string, Readonly<Record<Result, number>>>;
  /** Connections that the server has closed, see `Tally`. */
  readonly closes: ReadonlyMap<string, number>;
  /** How often it has subscribed to the bus. */
  readonly busSubscriptions: number;
  /** Resolves when an operator wants the node to go, to who that is. */
  readonly dismissed: Promise<string>;
  /** Why it should get no more clients; null if it may. */
  unreadiness(): string | null;
  /** Sends the clients elsewhere and records it; `actor`: who wants it. Resolves to whether everything was recorded. */
  drain(actor?: string): Promise<boolean>;
}

/** What looks on while messages are handled. */
export interface ServerWatch {
  /** Is told how long a message took that was not handled in one go: from its frame to its end, in ms. */
  readonly waited: (type: string, waitedMs: number) => void;
  readonly tracing: Tracing | null;
}

/** Puts a gateway node together, in the order of the flow, and starts it. @throws Error with one clear sentence */
export async function startServer(
  config: Config,
  deployment: Deployment,
  logger: Logger,
  { waited, tracing }: ServerWatch,
): Promise<Server> {
  const { keys, redis, clock, committer, sessions, accounts, tokens, claims, names, matches, untilDone } =
    deployment;
  const node = config.nodeId;

  // who is here, who else is there
  let isDraining = false;
  let dismiss: (by: string) => void;
  const dismissed = new Promise<string>((resolve) => {
    dismiss = resolve;
  });
  const presence: Presence<Client> = new Presence((session) => leases.lossOf(session));
  const leases = new Leases({
    redis,
    keys,
    node,
    leaseMs: config.LEASE_SECONDS * 1000,
    clock,
    logger,
    report: () => ({
      connections: gateway?.size ?? 0,
      sessions: presence.size,
      draining: isDraining,
    }),
    onLost: () => reconciler.request(),
  });
  const population = new Population(node, SILENCE_MS);
  const bus = new Bus({
    keys,
    node,
    redis,
    population,
    connections: () => gateway?.size ?? 0,
    connectSubscriber: () => deployment.connect('bus', { subscriber: true, silenceTimeoutMs: 0 }),
    logger,
    onLoss: (sessionId, loss, connection) => presence.lose(sessionId, loss, connection),
    onGlobalChat: (frame) => gateway?.publish(frame),
    onDelivery: (sessionIds, frame) => {
      for (const id of sessionIds) presence.holderOf(id)?.send(frame);
    },
    onDoubt: () => reconciler.request(),
    onDrain: (by) => dismiss(by),
  });
  const reconciler = new Reconciler({
    redis,
    keys,
    node,
    sessions,
    presence,
    leases,
    logger,
    isBusy: (connection) => gateway?.isBusy(connection) ?? false,
  });

  const matchJobs = new MatchJobs(
    deployment.connect('jobs', { pipelining: false }),
    keys,
    logger,
    config.LAUNCH_ATTEMPTS,
  );

  // what is done with messages
  const validators = compileClientValidators();
  const context: Context = {
    node,
    settings: {
      commitTimeoutMs: config.COMMIT_TIMEOUT_MS,
      tokenTtlMs: config.TOKEN_TTL_SECONDS * 1000,
      tokensPerAccount: config.TOKENS_PER_ACCOUNT,
      passwordMin: config.PASSWORD_MIN_LENGTH,
      logoutRevokesToken: config.LOGOUT_REVOKES_TOKEN,
      uniqueEmails: config.OC_EMAIL_VALIDATION,
      chatCharacters: config.CHAT_CHARACTERS,
    },
    validators,
    log: deployment.log,
    sessions,
    accounts,
    tokens,
    claims,
    names,
    matches,
    untilDone,
    passwords: await Passwords.create({
      concurrency: Math.min(config.HASH_CONCURRENCY, config.hashThreads),
      queue: config.HASH_QUEUE,
    }),
    attempts: new Attempts(redis, keys, {
      perAccount: config.LOGIN_ATTEMPTS,
      perAddress: config.LOGIN_ATTEMPTS_PER_ADDRESS,
      registrations: config.REGISTRATIONS_PER_ADDRESS,
    }),
    presence,
    leases,
    publisher: bus.publisher,
    changes: new Pace(
      config.MESSAGE_RATE === 0 ? 0 : config.CHANGE_RATE * CHANGE_SECONDS,
      CHANGE_SECONDS * 1000,
    ),
    chatLimit: new Limiter(redis, keys, 'chat', config.CHAT_RATE * CHAT_SECONDS, CHAT_SECONDS),
    clock,
    formMatches: () => matchJobs.formSoon(),
    players: () => population.count(gateway?.size ?? 0),
    logger,
  };
  const handlers = HANDLERS.map((make) => make(context));
  const dispatch = dispatcher(new Map(handlers.map((handler) => [handler.type, handler])), logger);
  const tally = new Tally(validators.keys(), waited);

  // where messages come in
  let gateway: Gateway | undefined;
  const options = {
    host: config.HOST,
    port: config.PORT,
    isShared: config.SHARE_PORT,
    tls: config.tls,
    trustedProxies: config.trustedProxies,
    allowedOrigins: config.allowedOrigins,
    maxConnections: config.MAX_CONNECTIONS,
    connectionsPerAddress: config.CONNECTIONS_PER_ADDRESS,
    idleSeconds: config.IDLE_SECONDS,
    authSeconds: config.AUTH_SECONDS,
    maxBackpressureBytes: config.MAX_BACKPRESSURE_BYTES,
    rules: {
      maxMessageBytes: config.MAX_MESSAGE_BYTES,
      rate: new Rate(config.MESSAGE_RATE, config.MESSAGE_BURST),
      mailboxMessages: config.MAILBOX_MESSAGES,
      mailboxBytes: MAILBOX_LARGEST_MESSAGES * config.MAX_MESSAGE_BYTES,
      read: messageReader(compileEnvelopeValidator(), validators.keys()),
      dispatch: tracing?.dispatch(dispatch, (type) => validators.has(type)) ?? dispatch,
      finished: (client: Client) => {
        const session = presence.release(client);
        if (session) abandon(context, session.id, session.known.state.attachment, session.known);
      },
      count: tally.count,
      closing: tally.closing,
    },
    register: tally.counting(httpRegister(context)),
    logger,
  };

  await leases.start();
  try {
    gateway = await Gateway.listen(options);
  } catch (error) {
    reconciler.close();
    await leases.release();
    throw error;
  }
  bus.start();

  /** An operator has the node go: that is an event of the node, the only one it has in its life. */
  function recordDrain(actor: string): void {
    const event = { type: 'node.drained', subject: node, version: 1, data: { actor } };
    const partition = keys.partitionOf(bucketOfId(node));
    committer.commit({ partition, checks: [], events: [event], writes: [] }).catch((error: unknown) => {
      logger.warn({ err: error }, 'who has the node go could not be recorded');
    });
  }

  const { port } = gateway;
  return {
    port,
    dismissed,
    messages: tally.messages,
    closes: tally.closes,
    get busSubscriptions() {
      return bus.subscriptions;
    },
    get connections() {
      return gateway.size;
    },
    get sessions() {
      return presence.size;
    },
    get passwordsQueued() {
      return context.passwords.queued;
    },
    unreadiness() {
      if (isDraining) return 'going away';
      if (!redis.isReady) return 'Redis cannot be reached';
      if (leases.isOverdue) return 'the lease of the node has run out';
      if (committer.oldestBatchMs > config.COMMIT_TIMEOUT_MS) return 'the event log cannot be written';
      return bus.isHearing ? null : 'nothing is heard on the bus';
    },
    async drain(actor) {
      isDraining = true;
      if (actor !== undefined) recordDrain(actor);
      gateway.stopListening();
      reconciler.close();
      const spreadMs = config.DRAIN_SECONDS * 1000;
      const leave = async (client: Client) => {
        const session = presence.release(client);
        if (session) await detach(context, session, 'drained', actor);
      };
      const deadline = performance.now() + spreadMs + FLUSH_MS;
      const leaving = drain(gateway.connections(), spreadMs, leave).then(() => true);
      const haveLeft = await within(spreadMs + FLUSH_MS, leaving);
      for (const connection of gateway.connections()) connection.close(CLOSE.goingAway);
      const timeLeft = () => Math.max(CLOSING_MS, deadline - performance.now());
      const haveEnded = await presence.untilNoneLeaves(timeLeft());
      const isFlushed = await committer.flush(timeLeft());
      await new Promise((resolve) => setTimeout(resolve, CLOSING_MS)); // for the closing frames to get out
      gateway.close();
      await within(CLOSING_MS, bus.close());
      await within(CLOSING_MS, matchJobs.close());
      await leases.release();
      return isFlushed && haveEnded && haveLeft === true;
    },
  };
}

/** How long `drain` takes at most, in ms. */
export function longestDrainMs(drainSeconds: number): number {
  return drainSeconds * 1000 + FLUSH_MS + 5 * CLOSING_MS;
}

/** Largest messages that one connection may have waiting. */
const MAILBOX_LARGEST_MESSAGES = 16;
