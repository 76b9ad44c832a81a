// Generated from schemas/ by `npm run generate`. Change the schemas, not this file.

/**
 * The environment variables of the server. Values are coerced from text before they are checked. Variables that are not named here are of no concern.
 */
export interface ConfigVariables {
  /**
   * Address on which clients are served.
   */
  HOST: string;
  /**
   * TCP port on which clients are served. 0: a free port chosen by the system.
   */
  PORT: number;
  /**
   * Whether other gateways of the same user on this machine may listen on HOST:PORT, too; Linux spreads connections over them then (SO_REUSEPORT). `serve --workers` sets it.
   */
  SHARE_PORT: boolean;
  /**
   * Certificate chain (PEM) with which clients are served over TLS (wss://, https://). Together with TLS_KEY_FILE. Unset: plain.
   */
  TLS_CERT_FILE?: string;
  /**
   * Private key (PEM, without a passphrase) of TLS_CERT_FILE.
   */
  TLS_KEY_FILE?: string;
  /**
   * Address on which operators are served (probes, metrics, API).
   */
  ADMIN_HOST: string;
  /**
   * TCP port on which operators are served. 0: a free port chosen by the system.
   */
  ADMIN_PORT: number;
  /**
   * Bearer token of the operators' API on ADMIN_PORT. Unset: there are only probes and metrics.
   */
  ADMIN_TOKEN?: string;
  /**
   * A single Redis, by URL or Unix socket. Not together with REDIS_SENTINELS or REDIS_CLUSTER.
   */
  REDIS_URL?: string;
  /**
   * Sentinels that watch the Redis named by REDIS_MASTER. Not together with REDIS_URL or REDIS_CLUSTER.
   */
  REDIS_SENTINELS?: string;
  /**
   * Name of the master that the sentinels watch. Required with REDIS_SENTINELS.
   */
  REDIS_MASTER?: string;
  /**
   * Some nodes of a Redis Cluster; the others are found through them. Not together with REDIS_URL or REDIS_SENTINELS.
   */
  REDIS_CLUSTER?: string;
  /**
   * User of Redis.
   */
  REDIS_USERNAME?: string;
  /**
   * Password of Redis.
   */
  REDIS_PASSWORD?: string;
  /**
   * Password of the sentinels, if they have one.
   */
  REDIS_SENTINEL_PASSWORD?: string;
  /**
   * Whether to speak TLS with Redis, for all three ways to reach it.
   */
  REDIS_TLS: boolean;
  /**
   * Seconds that a node which starts waits for Redis, alive and not ready, before it gives up and ends. 0: for ever.
   */
  REDIS_WAIT_SECONDS: number;
  /**
   * What every key and channel name in Redis begins with. Another prefix is another deployment.
   */
  KEY_PREFIX: string;
  /**
   * Number of partitions of the log. The same on every node, and fixed by the first one that boots.
   */
  PARTITIONS: 1 | 2 | 4 | 8 | 16 | 32 | 64 | 128 | 256;
  /**
   * Players of a match.
   */
  MATCH_SIZE: number;
  /**
   * How game servers are started: as programs of the machine, or in containers.
   */
  GAME_LAUNCHER: 'command' | 'container';
  /**
   * Command line that runs a game server, with PORT and PLAYERS_JSON in its environment. Unset: a small program that stands for one.
   */
  GAME_COMMAND?: string;
  /**
   * Image of the game server. Required with GAME_LAUNCHER=container.
   */
  GAME_IMAGE?: string;
  /**
   * Program that runs containers: podman or docker.
   */
  CONTAINER_ENGINE: string;
  /**
   * Ports for game servers on each machine, the first and the last.
   */
  GAME_PORTS: string;
  /**
   * Address of this machine for players. Unset: its first address that is not a loopback.
   */
  GAME_HOST?: string;
  /**
   * Times that the launch of a game server is tried before its match fails.
   */
  LAUNCH_ATTEMPTS: number;
  /**
   * Label of this node. Its id is the label and a suffix that is new at each boot.
   */
  NODE_ID?: string;
  /**
   * Where traces are sent by OTLP over HTTP (to its path /v1/traces), such as an OpenTelemetry Collector. Unset: nothing is traced.
   */
  OTEL_EXPORTER_OTLP_ENDPOINT?: string;
  /**
   * Share of the messages that are traced.
   */
  OTEL_TRACES_SAMPLER_ARG: number;
  /**
   * Least severe level that is logged.
   */
  LOG_LEVEL: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';
  /**
   * Whether an email address can be registered only once. It counts among the accounts that are registered while it is on, on all nodes: addresses of before are not looked at.
   */
  OC_EMAIL_VALIDATION: boolean;
  /**
   * Characters (Unicode code points) of the shortest password that can be registered.
   */
  PASSWORD_MIN_LENGTH: number;
  /**
   * Whether a logout revokes the token of its session, too, and ends the other sessions of that token. The protocol keeps it valid.
   */
  LOGOUT_REVOKES_TOKEN: boolean;
  /**
   * Seconds that a token is valid after its login. 0: no limit.
   */
  TOKEN_TTL_SECONDS: number;
  /**
   * Valid tokens of one account; one more revokes the oldest. 0: no limit.
   */
  TOKENS_PER_ACCOUNT: number;
  /**
   * Seconds that a detached session waits to be resumed before it expires. 0: as long as a token is valid (TOKEN_TTL_SECONDS).
   */
  RESUME_SECONDS: number;
  /**
   * Seconds after its last sign of life when a node counts as lost. Renewed every third of it.
   */
  LEASE_SECONDS: number;
  /**
   * Seconds without a sign of life after which a connection is dropped; clients are pinged before. 0: no limit.
   */
  IDLE_SECONDS: number;
  /**
   * Seconds after which a connection without a session is closed with 4002. 0: no limit.
   */
  AUTH_SECONDS: number;
  /**
   * Seconds over which a node that shuts down spreads the closing of its connections. 0: all at once.
   */
  DRAIN_SECONDS: number;
  /**
   * Hours that events are kept in the log. 0: no limit.
   */
  RETENTION_HOURS: number;
  /**
   * Connections of one node. 0: no limit.
   */
  MAX_CONNECTIONS: number;
  /**
   * Connections of one client address to one node. 0: no limit.
   */
  CONNECTIONS_PER_ADDRESS: number;
  /**
   * Proxies whose X-Forwarded-For is believed. Unset: none.
   */
  TRUSTED_PROXIES?: string;
  /**
   * Origins whose web pages may connect. Unset: any.
   */
  ALLOWED_ORIGINS?: string;
  /**
   * Bytes of the largest message of a client; a larger one closes the connection with 1009.
   */
  MAX_MESSAGE_BYTES: number;
  /**
   * Messages a second that one connection may send on average. 0: no limit.
   */
  MESSAGE_RATE: number;
  /**
   * Messages that one connection may send at once. 0: no limit.
   */
  MESSAGE_BURST: number;
  /**
   * Messages of one connection that may wait for their turn. 0: no limit.
   */
  MAILBOX_MESSAGES: number;
  /**
   * Unsent bytes of one connection above which it is closed as a slow reader. 0: no limit.
   */
  MAX_BACKPRESSURE_BYTES: number;
  /**
   * Characters (Unicode code points) of the longest chat message. 0: no limit.
   */
  CHAT_CHARACTERS: number;
  /**
   * Chat messages a second that one account may send, on average over 10 seconds, all its sessions together. 0: no limit.
   */
  CHAT_RATE: number;
  /**
   * Changes of its sessions a second that one account may make on one node (logins, names, joins of the queue), on average over a minute. 0, or MESSAGE_RATE=0: no limit.
   */
  CHANGE_RATE: number;
  /**
   * Failed logins per account and client address in 15 minutes. 0: no limit.
   */
  LOGIN_ATTEMPTS: number;
  /**
   * Failed logins per client address in 15 minutes, by password or token. 0: no limit.
   */
  LOGIN_ATTEMPTS_PER_ADDRESS: number;
  /**
   * Registrations per client address in an hour. 0: no limit.
   */
  REGISTRATIONS_PER_ADDRESS: number;
  /**
   * Passwords hashed at the same time; less than UV_THREADPOOL_SIZE (4) in any case. 0: one less than the cores of the machine, at least 1.
   */
  HASH_CONCURRENCY: number;
  /**
   * Password hashings that may wait before new ones are refused. 0: no limit.
   */
  HASH_QUEUE: number;
  /**
   * Replicas of Redis that must have a change before it is answered. 0: none.
   */
  WAIT_REPLICAS: number;
  /**
   * Milliseconds that a client waits for its change to be recorded before it is told that it could not be.
   */
  COMMIT_TIMEOUT_MS: number;
  /**
   * Folder where the embedded Redis keeps its files.
   */
  DATA_DIR: string;
}
