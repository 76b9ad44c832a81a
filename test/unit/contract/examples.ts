/** What each schema accepts and refuses, by the path of its file in `schemas/`. */
export interface Examples {
  readonly valid: readonly unknown[];
  readonly invalid: readonly unknown[];
}

const ACCOUNT = `a${'Ab9_-'.repeat(3)}x`;
const SESSION = `s${'Ab9_-'.repeat(4)}wxyz`;
const MATCH = `m${'Ab9_-'.repeat(3)}x`;
const TOKEN_HASH = `${'Ab9_-'.repeat(4)}yz`;
const UUID = '550e8400-e29b-41d4-a716-446655440000';

/** Values that are no JSON object. */
const NO_OBJECTS = [null, true, 7, 'text', []];

/** Messages whose type or payload is wrong whatever the schema says about the members of the payload. */
function malformed(type: string, payload: object): unknown[] {
  return [
    ...NO_OBJECTS,
    {},
    { payload },
    { type },
    { type: 'other', payload },
    { type: type.toUpperCase(), payload },
    { type: [type], payload },
    ...NO_OBJECTS.map((wrong) => ({ type, payload: wrong })),
    { type, payload: {} },
  ];
}

function client(type: string, payload: object, good: readonly object[], bad: readonly object[]): Examples {
  return {
    valid: [
      { type, payload },
      { type, payload: { ...payload, extra: 1 } },
      { type, payload, extra: [null] },
      ...good.map((change) => ({ type, payload: { ...payload, ...change } })),
    ],
    invalid: [
      ...malformed(type, payload),
      ...bad.map((change) => ({ type, payload: { ...payload, ...change } })),
    ],
  };
}

function server(type: string, payload: object, good: readonly object[], bad: readonly object[]): Examples {
  return {
    valid: [{ type, payload }, ...good.map((change) => ({ type, payload: { ...payload, ...change } }))],
    invalid: [
      ...malformed(type, payload),
      { type, payload, extra: 1 },
      { type, payload: { ...payload, extra: 1 } },
      ...Object.keys(payload).map((member) => ({ type, payload: without(payload, member) })),
      ...bad.map((change) => ({ type, payload: { ...payload, ...change } })),
    ],
  };
}

/** Data of an event: `required` members, changes of them that are `good`, and `bad` ones. */
function event(required: object, good: readonly object[], bad: readonly object[]): Examples {
  return {
    valid: [required, ...good.map((change) => ({ ...required, ...change }))],
    invalid: [
      ...NO_OBJECTS,
      { ...required, extra: 1 },
      ...Object.keys(required).map((member) => without(required, member)),
      ...bad.map((change) => ({ ...required, ...change })),
    ],
  };
}

function without(value: object, member: string): object {
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== member));
}

/** A message whose payload may be anything. */
function payloadIgnored(type: string): Examples {
  return {
    valid: [
      { type },
      { type, payload: {} },
      { type, payload: { type: 'login' }, extra: 1 },
      ...NO_OBJECTS.map((payload) => ({ type, payload })),
    ],
    invalid: [...NO_OBJECTS, {}, { type: type.toUpperCase() }, { type: [type] }, { payload: null }],
  };
}

/** A message of the server without a payload. */
function bare(type: string): Examples {
  return {
    valid: [{ type }],
    invalid: [...NO_OBJECTS, {}, { type: 'other' }, { type, payload: null }, { type, extra: 1 }],
  };
}

/** A message of a client whose payload is a text. */
function text(type: string, good: readonly string[], bad: readonly string[] = []): Examples {
  return {
    valid: [...good.map((payload) => ({ type, payload })), { type, payload: 'x', extra: 1 }],
    invalid: [
      ...NO_OBJECTS,
      { type },
      { type: 'other', payload: 'x' },
      ...[null, true, 7, {}, ['x'], ...bad].map((payload) => ({ type, payload })),
    ],
  };
}

/** A message of the server whose payload is a single value. */
function value(type: string, good: readonly unknown[], bad: readonly unknown[]): Examples {
  return {
    valid: good.map((payload) => ({ type, payload })),
    invalid: [
      ...NO_OBJECTS,
      { type },
      { type: 'other', payload: good[0] },
      { type, payload: good[0], extra: 1 },
      ...[null, true, {}, [good[0]], ...bad].map((payload) => ({ type, payload })),
    ],
  };
}

/** What somebody says, as it is delivered. */
const CHAT = [
  { username: 'jane.doe', message: 'Hello everyone!' },
  [{ username: '"' }, { message: ' ' }],
  [{ username: '' }, { message: '' }, { username: 1 }, { message: null }],
] as const;

const attachment = { node: 'gw-1.x7Kq', connection: 1 };
const badAttachments = [
  { node: '' },
  { node: 1 },
  { connection: 0 },
  { connection: 1.5 },
  { connection: '1' },
];
const badActors = [{ actor: '' }, { actor: null }, { actor: 1 }];
const badTokenHashes = [{ token: UUID }, { token: TOKEN_HASH.slice(1) }, { token: `${TOKEN_HASH}x` }];
const badUuids = [
  { token: null },
  { token: 1 },
  { token: '' },
  { token: UUID.replaceAll('-', '') },
  { token: `{${UUID}}` },
  { token: `urn:uuid:${UUID}` },
  { token: ` ${UUID}` },
  { token: `${UUID}\n` },
  { token: UUID.replace('5', 'g') },
];

/** Variables whose least value is 0. */
const NONNEGATIVE = [
  'TOKEN_TTL_SECONDS',
  'TOKENS_PER_ACCOUNT',
  'RESUME_SECONDS',
  'AUTH_SECONDS',
  'DRAIN_SECONDS',
  'RETENTION_HOURS',
  'MAX_CONNECTIONS',
  'CONNECTIONS_PER_ADDRESS',
  'MESSAGE_RATE',
  'MESSAGE_BURST',
  'MAILBOX_MESSAGES',
  'MAX_BACKPRESSURE_BYTES',
  'CHAT_CHARACTERS',
  'CHAT_RATE',
  'CHANGE_RATE',
  'LOGIN_ATTEMPTS',
  'LOGIN_ATTEMPTS_PER_ADDRESS',
  'REGISTRATIONS_PER_ADDRESS',
  'HASH_CONCURRENCY',
  'HASH_QUEUE',
  'WAIT_REPLICAS',
];

const cloudEvent = {
  specversion: '1.0',
  id: '0:1732368000000-0',
  source: 'gw-1.x7Kq',
  type: 'session.expired',
  subject: SESSION,
  time: '2026-11-23T14:30:00.000Z',
  subjectversion: 1,
  dataversion: 1,
  data: {},
};

export const EXAMPLES: Readonly<Record<string, Examples>> = {
  'client/message.json': {
    valid: [
      { type: '' },
      { type: 'anything' },
      { type: '__proto__', payload: null },
      { type: 'x', payload: [1], extra: 1 },
    ],
    invalid: [...NO_OBJECTS, {}, { payload: {} }, { type: 5 }, { type: null }, { type: ['login'] }],
  },
  'client/register.json': client(
    'register',
    { username: 'john.smith', password: 'correct horse' },
    [{ username: '' }, { password: '' }, { email: null }, { email: '' }, { email: 'john@example.com' }],
    [{ username: null }, { username: 1 }, { password: ['secret'] }, { email: 1 }, { email: {} }],
  ),
  'client/login.json': client(
    'login',
    { username: 'jane.doe', password: 'correct horse' },
    [{ username: '日本語' }, { username: '🦀🦀🦀' }, { password: '🦀🦀🦀🦀🦀🦀' }],
    [
      { username: 'jo' },
      { username: '🦀🦀' },
      { username: null },
      { username: 123 },
      { password: 'short' },
      { password: '🦀🦀🦀🦀🦀' },
      { password: 123456 },
      { username: ['jane'] },
    ],
  ),
  'client/token_auth.json': client(
    'token_auth',
    { token: UUID },
    [{ token: UUID.toUpperCase() }, { token: `FF${UUID.slice(2)}` }, { resume: true }, { resume: false }],
    [...badUuids, { resume: null }, { resume: 'true' }, { resume: 1 }],
  ),
  'client/logout.json': payloadIgnored('logout'),
  'client/logout_all.json': payloadIgnored('logout_all'),
  'client/count.json': payloadIgnored('count'),
  'client/join_queue.json': payloadIgnored('join_queue'),
  'client/leave_queue.json': payloadIgnored('leave_queue'),
  'client/set_username.json': text('set_username', ['CoolGamer42', '', '🦀', 'with "quotes"']),
  'client/global_chat.json': text('global_chat', ['Hello everyone!', ' ', '🦀', 'a\nb'], ['']),
  'client/private_chat.json': client(
    'private_chat',
    { target: 'jane.doe', message: 'Hey' },
    [{ target: 'a' }, { message: '🦀' }],
    [{ target: '' }, { message: '' }, { target: null }, { message: 1 }, { target: ['jane.doe'] }],
  ),

  'server/auth_success.json': server(
    'auth_success',
    { username: 'jane.doe', token: UUID },
    [{ username: 'CoolGamer "42"' }, { token: UUID.toUpperCase() }],
    [{ username: '' }, { username: 1 }, ...badUuids],
  ),
  'server/auth_error.json': server(
    'auth_error',
    { message: 'Invalid login format' },
    [{ message: 'Account disabled' }, { message: 'Invalid or expired token' }],
    [{ message: '' }, { message: null }, { code: 'AUTH_REQUIRED' }],
  ),
  'server/register_success.json': server(
    'register_success',
    {
      success: true,
      message: 'Registration successful',
      autoLogin: true,
      username: 'john.smith',
      token: UUID,
    },
    [{ username: '日本語' }],
    [{ success: false }, { autoLogin: false }, { message: 'Welcome' }, { username: '' }, ...badUuids],
  ),
  'server/error.json': server(
    'error',
    { message: 'Authentication required', code: 'AUTH_REQUIRED' },
    [
      { code: 'REGISTRATION_ERROR' },
      { code: 'INVALID_MESSAGE' },
      { code: 'UNKNOWN_TYPE' },
      { code: 'INVALID_PAYLOAD' },
      { code: 'RATE_LIMITED' },
      { code: 'SERVICE_UNAVAILABLE' },
    ],
    [{ message: '' }, { message: 1 }, { code: 'OTHER' }, { code: 'auth_required' }, { code: 1 }],
  ),
  'server/queued.json': bare('queued'),
  'server/dequeued.json': bare('dequeued'),
  'server/match_found.json': server(
    'match_found',
    { port: 7001, players: ['a', 'b'], containerID: '4f66ad9a0b2e', host: '10.1.2.3' },
    [{ players: [] }, { port: 65_535 }, { host: 'game-1.example' }],
    [
      { port: 0 },
      { port: 65_536 },
      { port: '7001' },
      { players: 'a' },
      { players: [1] },
      { containerID: '' },
    ],
  ),
  'server/match_error.json': server(
    'match_error',
    { message: 'Failed to start game server' },
    [{ message: 'x' }],
    [{ message: '' }, { message: null }],
  ),
  'server/player_count.json': value('player_count', [0, 42, 1_000_000], [-1, 1.5, '42']),
  'server/display_name_updated.json': value('display_name_updated', ['CoolGamer42', '"'], ['', 42]),
  'server/global_chat.json': server('global_chat', ...CHAT),
  'server/private_chat.json': server('private_chat', ...CHAT),
  'server/logged_out.json': {
    valid: [
      { type: 'logged_out' },
      { type: 'logged_out', payload: { reason: 'operator' } },
      { type: 'logged_out', payload: { reason: 'account' } },
    ],
    invalid: [
      ...NO_OBJECTS,
      {},
      { type: 'logout' },
      { type: 'logged_out', extra: 1 },
      { type: 'logged_out', payload: null },
      { type: 'logged_out', payload: {} },
      { type: 'logged_out', payload: { reason: 'client' } },
      { type: 'logged_out', payload: { reason: 'operator', extra: 1 } },
    ],
  },

  'events/cloudevent.json': event(
    cloudEvent,
    [
      { id: '255:1732368000000-17' },
      { type: 'account.registered', subject: ACCOUNT },
      { type: 'match.failed', subject: MATCH },
      { data: { anything: 1 }, subjectversion: 9_000_000_000, dataversion: 2 },
    ],
    [
      { specversion: '1.0.2' },
      { id: '1732368000000-0' },
      { id: '00:1732368000000-0' },
      { source: '' },
      { type: 'session.unheard_of' },
      { subject: 'jane.doe' },
      { subject: SESSION.slice(1) },
      { time: '2026-11-23T14:30:00Z' },
      { time: '2026-11-23T14:30:00.000+00:00' },
      { time: '2026-13-23T14:30:00.000Z' },
      { time: 1732368000000 },
      { subjectversion: 0 },
      { subjectversion: '1' },
      { dataversion: 0 },
      { data: null },
      { data: [] },
    ],
  ),
  'events/session.started.json': event(
    { accountId: ACCOUNT, token: TOKEN_HASH, ...attachment },
    [{ connection: 4_000_000_000 }],
    [...badAttachments, ...badTokenHashes, { accountId: SESSION }, { accountId: 'jane.doe' }],
  ),
  'events/session.detached.json': event(
    { reason: 'closed' },
    [
      { reason: 'drained' },
      { reason: 'drained', actor: 'ops' },
      { reason: 'node_lost' },
      { reason: 'taken_over' },
    ],
    [{ reason: 'other' }, { reason: null }, ...badActors],
  ),
  'events/session.renamed.json': event(
    { chosen: true },
    [{ chosen: false }],
    [{ chosen: null }, { chosen: 'CoolGamer42' }, { name: 'CoolGamer42' }],
  ),
  'events/session.resumed.json': event(attachment, [{ connection: 2 }], badAttachments),
  'events/session.logged_out.json': event(
    { by: 'client' },
    [{ by: 'operator' }, { by: 'operator', actor: 'ops@example.com' }, { by: 'account' }],
    [{ by: 'node' }, ...badActors],
  ),
  'events/session.replaced.json': event(
    { successor: SESSION },
    [{ successor: `s${'0'.repeat(24)}` }],
    [{ successor: ACCOUNT }, { successor: `${SESSION}x` }, { successor: null }],
  ),
  'events/session.expired.json': event({}, [], []),
  'events/queue.joined.json': event(
    {},
    [{ since: 0 }, { since: 1_764_000_000_000 }],
    [{ since: -1 }, { since: '0' }],
  ),
  'events/queue.left.json': event(
    { reason: 'client' },
    [
      { reason: 'detached' },
      { reason: 'ended' },
      { reason: 'matched', match: MATCH },
      { reason: 'failed', match: MATCH },
    ],
    [{ reason: 'other' }, { reason: null }, { reason: 'matched', match: SESSION }],
  ),
  'events/match.formed.json': event(
    { players: [SESSION, SESSION] },
    [{ players: [SESSION] }],
    [{ players: [] }, { players: ['jane.doe'] }, { players: SESSION }],
  ),
  'events/match.started.json': event(
    { host: '10.1.2.3', port: 7001, server: '4f66ad9a0b2e', machine: 'game-1' },
    [{ port: 1 }],
    [{ host: '' }, { port: 0 }, { port: 65_536 }, { server: '' }, { machine: '' }],
  ),
  'events/match.failed.json': event({}, [], []),
  'events/match.ended.json': event({ reason: 'exited' }, [{ reason: 'lost' }], [{ reason: 'other' }]),
  'events/account.registered.json': event({}, [], [{ username: 'jane.doe' }]),
  'events/account.disabled.json': event({ actor: 'ops' }, [{ actor: 'ops@example.com' }], badActors),
  'events/account.enabled.json': event({ actor: 'ops' }, [{ actor: 'ops@example.com' }], badActors),
  'events/node.drained.json': event({ actor: 'ops' }, [{ actor: 'ops@example.com' }], badActors),
  'events/token.issued.json': event(
    { token: TOKEN_HASH, expiresAt: 1_764_000_000_000 },
    [{ expiresAt: 0 }],
    [...badTokenHashes, { expiresAt: -1 }, { expiresAt: 1.5 }, { expiresAt: '2026-11-23T14:30:00.000Z' }],
  ),
  'events/token.revoked.json': event(
    { token: TOKEN_HASH, reason: 'limit' },
    [{ reason: 'operator', actor: 'ops' }, { reason: 'account' }, { reason: 'expired' }],
    [...badTokenHashes, { reason: 'other' }, { reason: null }, ...badActors],
  ),

  'config.json': {
    valid: [
      {},
      Object.fromEntries(NONNEGATIVE.map((name) => [name, 0])),
      { UNKNOWN_VARIABLE: 'x', PATH: '/bin' },
      { PORT: 0, ADMIN_PORT: 65535, HOST: '::', ADMIN_HOST: 'localhost' },
      { REDIS_URL: 'redis://localhost:6379' },
      { REDIS_URL: 'rediss://user:secret@redis.example:6380/1' },
      { REDIS_URL: 'unix:///run/redis.sock' },
      { REDIS_URL: '/run/redis.sock' },
      { REDIS_SENTINELS: 's-0:26379,10.0.0.2:26379,[::1]:26379', REDIS_MASTER: 'main' },
      { REDIS_CLUSTER: 'redis-0.redis:6379', REDIS_TLS: true, REDIS_USERNAME: 'u', REDIS_PASSWORD: 'p' },
      ...[1, 2, 4, 8, 16, 32, 64, 128, 256].map((PARTITIONS) => ({ PARTITIONS })),
      ...[0, 8, 960].map((IDLE_SECONDS) => ({ IDLE_SECONDS })),
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318', OTEL_TRACES_SAMPLER_ARG: 0.01 },
      ...['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'].map((LOG_LEVEL) => ({ LOG_LEVEL })),
      { GAME_LAUNCHER: 'container', GAME_IMAGE: 'registry.example/game:1', CONTAINER_ENGINE: 'docker' },
      { GAME_LAUNCHER: 'command', GAME_COMMAND: './game --port $PORT', GAME_PORTS: '7000-7000' },
      { TLS_CERT_FILE: '/run/tls/tls.crt', TLS_KEY_FILE: '/run/tls/tls.key' },
      { PASSWORD_MIN_LENGTH: 64, LOGOUT_REVOKES_TOKEN: true },
      { MATCH_SIZE: 10, GAME_HOST: 'game-1.example', LAUNCH_ATTEMPTS: 1 },
      { KEY_PREFIX: 'studio:oc:', NODE_ID: 'gw-0.gateway', DATA_DIR: '/var/lib/openchamp' },
      { TRUSTED_PROXIES: '10.0.0.0/8,192.168.1.1,fd00::/8,::1' },
      { ALLOWED_ORIGINS: 'https://play.example.com,http://localhost:3000,tauri://localhost' },
      { MAX_MESSAGE_BYTES: 1024, LEASE_SECONDS: 1, COMMIT_TIMEOUT_MS: 100, WAIT_REPLICAS: 10 },
      { MAX_MESSAGE_BYTES: 16_777_216, HASH_CONCURRENCY: 64, MAX_CONNECTIONS: 100_000 },
    ],
    invalid: [
      ...NO_OBJECTS,
      ...[-1, 65536, 1.5, '8080', null].flatMap((port) => [{ PORT: port }, { ADMIN_PORT: port }]),
      { HOST: '' },
      { HOST: 'a b' },
      ...['', 'localhost:6379', 'http://localhost', 'redis://', 'unix://run'].map((REDIS_URL) => ({
        REDIS_URL,
      })),
      { REDIS_SENTINELS: 's-0:26379' },
      ...['', 's-0', 's-0:', ':26379', 's-0:26379,', 's-0:26379 s-1:26379'].flatMap((list) => [
        { REDIS_SENTINELS: list, REDIS_MASTER: 'main' },
        { REDIS_CLUSTER: list },
      ]),
      { REDIS_URL: 'redis://a', REDIS_CLUSTER: 'a:1' },
      { REDIS_URL: 'redis://a', REDIS_SENTINELS: 'a:1', REDIS_MASTER: 'main' },
      { REDIS_CLUSTER: 'a:1', REDIS_SENTINELS: 'a:1', REDIS_MASTER: 'main' },
      { REDIS_TLS: 'yes' },
      { GAME_LAUNCHER: 'agones' },
      { GAME_PORTS: '7000' },
      { GAME_PORTS: '7000-' },
      { TLS_CERT_FILE: '/run/tls/tls.crt' },
      { TLS_KEY_FILE: '/run/tls/tls.key' },
      { PASSWORD_MIN_LENGTH: 5 },
      { PASSWORD_MIN_LENGTH: 65 },
      { LOGOUT_REVOKES_TOKEN: 'yes' },
      { MATCH_SIZE: 0 },
      { LAUNCH_ATTEMPTS: 0 },
      { OC_EMAIL_VALIDATION: 1 },
      ...[0, 3, 512, '1'].map((PARTITIONS) => ({ PARTITIONS })),
      ...['', 'a b', '{oc}:'].map((KEY_PREFIX) => ({ KEY_PREFIX })),
      ...['', '-x', 'a:b', 'a b', 'x'.repeat(64)].map((NODE_ID) => ({ NODE_ID })),
      { LOG_LEVEL: 'verbose' },
      { OTEL_TRACES_SAMPLER_ARG: 1.5 },
      { OTEL_TRACES_SAMPLER_ARG: -0.1 },
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' },
      ...[-1, 1, 7, 961].map((IDLE_SECONDS) => ({ IDLE_SECONDS })),
      { LEASE_SECONDS: 0 },
      { COMMIT_TIMEOUT_MS: 99 },
      { WAIT_REPLICAS: 11 },
      { MAX_MESSAGE_BYTES: 0 },
      { MAX_MESSAGE_BYTES: 16_777_217 },
      ...['', 'any', '10.0.0.256', '10.0.0.0/33', 'fd00::/129', '10.0.0.1, 10.0.0.2'].map(
        (TRUSTED_PROXIES) => ({ TRUSTED_PROXIES }),
      ),
      ...['', '*', 'example.com', 'https://example.com/', 'https://a.example, https://b.example'].map(
        (ALLOWED_ORIGINS) => ({ ALLOWED_ORIGINS }),
      ),
      ...NONNEGATIVE.map((name) => ({ [name]: -1 })),
      { DATA_DIR: '' },
    ],
  },
};
