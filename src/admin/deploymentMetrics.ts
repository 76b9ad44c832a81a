import { Gauge, type Registry } from 'prom-client';
import type { Overview } from '../operator/overview.js';

/** Metrics of a whole deployment. */
export interface DeploymentMetrics {
  /** What they are as of now; null: another process tells of them, or nobody can, and they are not shown. */
  show(overview: Overview | null): void;
}

/**
 * Makes the metrics that one process tells for all of a deployment, the worker that sees to it, so that they may be
 * added up over processes.
 * @param attached how many sessions are attached to this process: its own share of those of a deployment
 */
export function deploymentMetrics(registry: Registry, attached: () => number): DeploymentMetrics {
  const gauge = <Label extends string>(name: string, help: string, labelNames: readonly Label[] = []) =>
    new Gauge({ name, help, labelNames, registers: [registry] });

  const sessions = new Gauge({
    name: 'openchamp_sessions',
    help: 'Live sessions: attached to this node, or detached in the whole deployment.',
    labelNames: ['status'],
    registers: [registry],
    collect() {
      this.set({ status: 'attached' }, attached());
    },
  });
  const waiting = gauge('openchamp_match_queue_sessions', 'Sessions that wait for a match.');
  const events = gauge('openchamp_log_events', 'Events in the log.');
  const lags = gauge(
    'openchamp_log_follower_lag_seconds',
    'How long ago the oldest event was recorded that a follower has not read; 0 when it has read all.',
    ['follower'],
  );
  const jobs = gauge('openchamp_jobs', 'Jobs of a queue, by state.', ['queue', 'state']);
  const used = gauge('openchamp_redis_memory_bytes', 'Memory that a Redis server uses.', ['server']);
  const limit = gauge('openchamp_redis_memory_limit_bytes', 'Its maxmemory; 0 when it has none.', ['server']);
  const replicas = gauge('openchamp_redis_replicas', 'Replicas that are connected to it.', ['server']);
  const persistent = gauge(
    'openchamp_redis_persistent',
    'Whether it keeps an append-only file and could write it (1) or not (0).',
    ['server'],
  );
  const labelled = [sessions, lags, jobs, used, limit, replicas, persistent];

  return {
    show(overview) {
      for (const one of labelled) one.reset();
      for (const one of [waiting, events]) one.remove();
      if (!overview) return;
      sessions.set({ status: 'detached' }, overview.detachedSessions);
      waiting.set(overview.waitingSessions);
      events.set(overview.events);
      for (const { follower, seconds } of overview.followers) lags.set({ follower }, seconds);
      for (const { queue, state, count } of overview.jobs) jobs.set({ queue, state }, count);
      for (const { server, usedBytes, limitBytes, replicas: connected, isPersistent } of overview.servers) {
        used.set({ server }, usedBytes);
        limit.set({ server }, limitBytes);
        replicas.set({ server }, connected);
        persistent.set({ server }, isPersistent ? 1 : 0);
      }
    },
  };
}
