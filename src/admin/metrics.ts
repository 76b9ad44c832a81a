import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { CommitObserver } from '../log/committer.js';
import type { Overview } from '../operator/overview.js';
import type { SessionEvent, SessionEventType } from '../session/events.js';
import { deploymentMetrics } from './deploymentMetrics.js';
import { watchEventLoop } from './eventLoop.js';

/** Numbers that others keep; they are asked for when the metrics are. */
export interface MetricSources {
  /** Open connections of clients. */
  readonly connections: () => number;
  /** Sessions attached to this node. */
  readonly sessions: () => number;
  /** Messages that were handled, by type and result; a fixed set of both. */
  readonly messages: () => ReadonlyMap<string, Readonly<Record<string, number>>>;
  /** Connections that this node has closed, by reason; a fixed set of them. */
  readonly closes: () => ReadonlyMap<string, number>;
  /** How often the bus was subscribed to. */
  readonly busSubscriptions: () => number;
  /** Password hashings that wait. */
  readonly hashQueue: () => number;
  /** Operations that are not committed yet. */
  readonly backlog: () => number;
  /** Time since the oldest batch in flight was first sent; 0 when there is none. */
  readonly oldestBatchSeconds: () => number;
  /** Whether the connections to Redis stand. */
  readonly isRedisUp: () => boolean;
  /** What there is in the whole deployment, if it is this process that tells of it; otherwise null. May reject. */
  readonly overview: () => Promise<Overview | null>;
}

export interface Metrics {
  readonly contentType: string;
  /** All of them, in Prometheus' format. */
  text(): Promise<string>;
  /** Takes note of commits. */
  readonly commits: CommitObserver;
  /** Takes note of how long a message took that had to wait for something, in ms. */
  messageWaited(type: string, waitedMs: number): void;
  /** Counts an event of a session that was recorded. */
  sessionEvent(event: SessionEvent): void;
}

/** Seconds; a commit takes about a millisecond, and as long as it takes while Redis is away. */
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Seconds; fine where it matters, and with the bounds that are wanted: 10 ms for all but one in a hundred, 50 ms for all. */
const DELAYS = [
  0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1, 2.5, 5,
];

/** Operations; a batch has 256 at most. */
const BATCH_SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/** All of them, so that each is shown before it has happened. */
const SESSION_EVENTS: Readonly<Record<SessionEventType, 0>> = {
  'session.started': 0,
  'session.renamed': 0,
  'session.detached': 0,
  'session.resumed': 0,
  'session.logged_out': 0,
  'session.replaced': 0,
  'session.expired': 0,
  'queue.joined': 0,
  'queue.left': 0,
};

type LoggedOutBy = Extract<SessionEvent, { type: 'session.logged_out' }>['data']['by'];
const LOGGED_OUT_BY: Readonly<Record<LoggedOutBy, 0>> = { client: 0, operator: 0, account: 0 };

type DetachReason = Extract<SessionEvent, { type: 'session.detached' }>['data']['reason'];
const DETACH_REASONS: Readonly<Record<DetachReason, 0>> = {
  closed: 0,
  drained: 0,
  node_lost: 0,
  taken_over: 0,
};

/** Makes the metrics of this process, and those of Node.js; docs/operations.md lists them. */
export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectNodeMetrics(registry);

  const gauge = (name: string, help: string, source: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(source());
      },
    });
  gauge('openchamp_connections', 'Open connections of clients.', sources.connections);
  gauge(
    'openchamp_password_hashings_waiting',
    'Password hashings that wait for their turn.',
    sources.hashQueue,
  );
  gauge('openchamp_commit_backlog_operations', 'Operations that are not recorded yet.', sources.backlog);
  gauge(
    'openchamp_commit_oldest_batch_seconds',
    'Time since the oldest batch in flight was first sent; 0 when there is none.',
    sources.oldestBatchSeconds,
  );
  gauge('openchamp_redis_up', 'Whether the connections to Redis stand (1) or not (0).', () =>
    sources.isRedisUp() ? 1 : 0,
  );
  const deployment = deploymentMetrics(registry, sources.sessions);

  new Counter({
    name: 'openchamp_messages_total',
    help: 'Messages of clients that were handled, by type and result.',
    labelNames: ['type', 'result'],
    registers,
    collect() {
      this.reset();
      for (const [type, results] of sources.messages()) {
        for (const [result, count] of Object.entries(results)) this.inc({ type, result }, count);
      }
    },
  });
  new Counter({
    name: 'openchamp_closes_total',
    help: 'Connections of clients that this node has closed, by reason.',
    labelNames: ['reason'],
    registers,
    collect() {
      this.reset();
      for (const [reason, count] of sources.closes()) this.inc({ reason }, count);
    },
  });
  new Counter({
    name: 'openchamp_bus_reconnects_total',
    help: 'Times that the bus was subscribed to again.',
    registers,
    collect() {
      this.reset();
      this.inc(Math.max(0, sources.busSubscriptions() - 1));
    },
  });

  /** Gives the numbers to count up, plain ones: each change of a session is counted. */
  const counterBy = <Value extends string>(
    name: string,
    help: string,
    label: string,
    values: Record<Value, 0>,
  ) => {
    const counts: Record<Value, number> = { ...values };
    new Counter({
      name,
      help,
      labelNames: [label],
      registers,
      collect() {
        this.reset();
        for (const value in counts) this.inc({ [label]: value }, counts[value]);
      },
    });
    return counts;
  };
  const sessionEvents = counterBy(
    'openchamp_session_events_total',
    'Events of sessions that this process has recorded, by type.',
    'type',
    SESSION_EVENTS,
  );
  const logouts = counterBy(
    'openchamp_logouts_total',
    'Logouts that this process has recorded, by whom.',
    'by',
    LOGGED_OUT_BY,
  );

  const detaches = counterBy(
    'openchamp_detaches_total',
    'Sessions that were detached from their connections, as this process has recorded it, by reason.',
    'reason',
    DETACH_REASONS,
  );

  const waits = new Histogram({
    name: 'openchamp_message_duration_seconds',
    help: 'Time from the frame of a message to its answer, by type, of messages that had to wait for something.',
    labelNames: ['type'],
    buckets: SECONDS,
    registers,
  });
  const waitsOf = new Map<string, ReturnType<typeof waits.labels>>();
  const batchSizes = new Histogram({
    name: 'openchamp_commit_batch_operations',
    help: 'Operations in a batch.',
    buckets: BATCH_SIZES,
    registers,
  });
  const durations = new Histogram({
    name: 'openchamp_commit_duration_seconds',
    help: 'Time from the first sending of a batch to its answer.',
    buckets: SECONDS,
    registers,
  });

  const delays = new Histogram({
    name: 'openchamp_event_loop_delay_seconds',
    help: 'How late the event loop comes to what is due every 5 ms.',
    buckets: DELAYS,
    registers,
  });
  watchEventLoop((seconds) => delays.observe(seconds));

  return {
    contentType: registry.contentType,
    async text() {
      deployment.show(await sources.overview().catch(() => null));
      return registry.metrics();
    },
    commits: {
      committed(operations, durationMs) {
        batchSizes.observe(operations);
        durations.observe(durationMs / 1000);
      },
    },
    messageWaited(type, waitedMs) {
      let histogram = waitsOf.get(type);
      if (!histogram) {
        histogram = waits.labels(type);
        waitsOf.set(type, histogram);
      }
      histogram.observe(waitedMs / 1000);
    },
    sessionEvent(event) {
      sessionEvents[event.type] += 1;
      if (event.type === 'session.logged_out') logouts[event.data.by] += 1;
      if (event.type === 'session.detached') detaches[event.data.reason] += 1;
    },
  };
}

const AN_HOUR_MS = 3_600_000;

/**
 * The usual metrics of Node.js, without those of the event loop: they count the time between two looks as delay, and each
 * reader sees only what came after the one before.
 */
function collectNodeMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: AN_HOUR_MS });
  for (const { name } of registry.getMetricsAsArray()) {
    if (name.startsWith('nodejs_eventloop_lag')) registry.removeSingleMetric(name);
  }
}
