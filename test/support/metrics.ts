import type { MetricSources } from '../../src/admin/metrics.js';

/** A process to which nothing happens, and that tells of the whole deployment: each of its metrics is shown. */
export const IDLE: MetricSources = {
  connections: () => 0,
  sessions: () => 0,
  messages: () => new Map([['logout', { ok: 0, refused: 0, unavailable: 0 }]]),
  closes: () => new Map([['slow_reader', 0]]),
  busSubscriptions: () => 0,
  hashQueue: () => 0,
  backlog: () => 0,
  oldestBatchSeconds: () => 0,
  isRedisUp: () => true,
  overview: async () => ({
    detachedSessions: 0,
    waitingSessions: 0,
    events: 0,
    followers: [{ follower: 'billing', seconds: 0 }],
    jobs: [{ queue: 'upkeep', state: 'failed', count: 0 }],
    servers: [{ server: '127.0.0.1:6379', usedBytes: 0, limitBytes: 0, replicas: 0, isPersistent: true }],
  }),
};
