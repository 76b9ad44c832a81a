import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { CommitObserver } from '../log/committer.js';
import type { SessionEventType } from '../session/events.js';

/** Numbers that others keep; they are asked for when the metrics are. */
export interface MetricSources {
  /** Open connections of clients. */
  readonly connections: () => number;
  /** Sessions attached to this node. */
  readonly sessions: () => number;
  /** Messages that have come, by type; a fixed set of types. */
  readonly messages: () => ReadonlyMap<string, number>;
  /** Password hashings that wait. */
  readonly hashQueue: () => number;
  /** Operations that are not committed yet. */
  readonly backlog: () => number;
  /** Time since the oldest batch in flight was first sent; 0 when there is none. */
  readonly oldestBatchSeconds: () => number;
}

export interface Metrics {
  readonly registry: Registry;
  /** Takes note of commits. */
  readonly commits: CommitObserver;
  /** Counts an event of a session that was recorded; other types than those of sessions are not counted. */
  sessionEvent(type: string): void;
}

/** Seconds; a commit takes about a millisecond, and as long as it takes while Redis is away. */
const COMMIT_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

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

/** Makes the metrics of this process, and those of Node.js; docs/operations.md lists them. */
export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

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
  gauge('openchamp_sessions', 'Sessions attached to this node.', sources.sessions);
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

  new Counter({
    name: 'openchamp_messages_total',
    help: 'Messages of clients by type; those of an unknown type are `other`.',
    labelNames: ['type'],
    registers,
    collect() {
      this.reset();
      for (const [type, count] of sources.messages()) this.inc({ type }, count);
    },
  });
  const sessionEvents = new Counter({
    name: 'openchamp_session_events_total',
    help: 'Events of sessions that this process has recorded, by type.',
    labelNames: ['type'],
    registers,
  });
  const byType = new Map(Object.keys(SESSION_EVENTS).map((type) => [type, sessionEvents.labels(type)]));
  for (const counter of byType.values()) counter.inc(0);

  const batchSizes = new Histogram({
    name: 'openchamp_commit_batch_operations',
    help: 'Operations in a batch.',
    buckets: BATCH_SIZES,
    registers,
  });
  const durations = new Histogram({
    name: 'openchamp_commit_duration_seconds',
    help: 'Time from the first sending of a batch to its answer.',
    buckets: COMMIT_SECONDS,
    registers,
  });

  return {
    registry,
    commits: {
      committed(operations, durationMs) {
        batchSizes.observe(operations);
        durations.observe(durationMs / 1000);
      },
    },
    sessionEvent(type) {
      byType.get(type)?.inc();
    },
  };
}
