import { describe, expect, it } from 'vitest';
import { compileConfigValidator } from '../../../src/contract/validators.js';

const validate = compileConfigValidator();

/** The values that the documentation promises when nothing is set. */
const DEFAULTS = {
  PASSWORD_MIN_LENGTH: 6,
  LOGOUT_REVOKES_TOKEN: false,
  HOST: '0.0.0.0',
  PORT: 8080,
  SHARE_PORT: false,
  ADMIN_HOST: '127.0.0.1',
  ADMIN_PORT: 8081,
  REDIS_TLS: false,
  REDIS_WAIT_SECONDS: 30,
  KEY_PREFIX: 'oc:',
  PARTITIONS: 1,
  LOG_LEVEL: 'info',
  OTEL_TRACES_SAMPLER_ARG: 1,
  OC_EMAIL_VALIDATION: false,
  TOKEN_TTL_SECONDS: 604800,
  TOKENS_PER_ACCOUNT: 20,
  RESUME_SECONDS: 300,
  LEASE_SECONDS: 6,
  IDLE_SECONDS: 60,
  AUTH_SECONDS: 300,
  DRAIN_SECONDS: 20,
  RETENTION_HOURS: 72,
  MAX_CONNECTIONS: 0,
  CONNECTIONS_PER_ADDRESS: 0,
  MAX_MESSAGE_BYTES: 16384,
  MESSAGE_RATE: 50,
  MESSAGE_BURST: 100,
  MAILBOX_MESSAGES: 1024,
  MAX_BACKPRESSURE_BYTES: 262144,
  CHAT_CHARACTERS: 500,
  CHAT_RATE: 2,
  CHANGE_RATE: 5,
  LOGIN_ATTEMPTS: 10,
  LOGIN_ATTEMPTS_PER_ADDRESS: 100,
  REGISTRATIONS_PER_ADDRESS: 20,
  HASH_CONCURRENCY: 0,
  HASH_QUEUE: 256,
  WAIT_REPLICAS: 0,
  COMMIT_TIMEOUT_MS: 5000,
  DATA_DIR: 'data',
  MATCH_SIZE: 2,
  GAME_LAUNCHER: 'command',
  CONTAINER_ENGINE: 'podman',
  GAME_PORTS: '7000-8000',
  LAUNCH_ATTEMPTS: 3,
};

/** Variables without a default, each with a value that is allowed. */
const OPTIONAL = [
  { REDIS_URL: 'redis://localhost' },
  { REDIS_SENTINELS: 'a:26379', REDIS_MASTER: 'main' },
  { REDIS_SENTINELS: 'a:26379', REDIS_MASTER: 'main', REDIS_SENTINEL_PASSWORD: 'secret' },
  { REDIS_CLUSTER: 'a:6379' },
  { REDIS_USERNAME: 'openchamp' },
  { REDIS_PASSWORD: 'secret' },
  { NODE_ID: 'gw-1' },
  { GAME_COMMAND: './game' },
  { GAME_IMAGE: 'game:1' },
  { GAME_HOST: 'game-1.example' },
  { TRUSTED_PROXIES: '10.0.0.0/8' },
  { ALLOWED_ORIGINS: 'https://play.example.com' },
];

describe('the configuration', () => {
  it('has the promised defaults, and no others', () => {
    expect(validate({})).toEqual({ ok: true, config: DEFAULTS });
  });

  it.each(OPTIONAL)('takes over %j', (values) => {
    expect(validate(values)).toEqual({ ok: true, config: { ...DEFAULTS, ...values } });
  });

  it.each(OPTIONAL)('counts empty values as not set, as in %j', (values) => {
    const empty = Object.fromEntries(Object.keys(values).map((name) => [name, '']));
    expect(validate(empty)).toEqual({ ok: true, config: DEFAULTS });
  });

  it('ignores the rest of the environment and leaves it as it is', () => {
    const environment = { PATH: '/bin', PORT: '9000', HOST: undefined };
    expect(validate(environment)).toEqual({ ok: true, config: { ...DEFAULTS, PORT: 9000 } });
    expect(environment).toEqual({ PATH: '/bin', PORT: '9000', HOST: undefined });
  });

  it.each([
    ['PORT', '0', 0],
    ['PARTITIONS', '256', 256],
    ['OTEL_TRACES_SAMPLER_ARG', '0.25', 0.25],
    ['REDIS_TLS', 'true', true],
    ['REDIS_TLS', '1', true],
    ['OC_EMAIL_VALIDATION', 'false', false],
    ['OC_EMAIL_VALIDATION', '0', false],
    ['KEY_PREFIX', '1', '1'],
    ['REDIS_PASSWORD', 'true', 'true'],
    ['REDIS_PASSWORD', '007', '007'],
    ['MAX_CONNECTIONS', 5, 5],
  ])('reads %s from %j', (name, value, read) => {
    expect(validate({ [name]: value })).toEqual({ ok: true, config: { ...DEFAULTS, [name]: read } });
  });

  it.each([
    [{ PORT: '0x10' }, 'PORT is "0x10"; it must be a whole number from 0 to 65535.'],
    [{ PORT: '1e3' }, 'PORT is "1e3"; it must be a whole number from 0 to 65535.'],
    [{ PORT: ' 80' }, 'PORT is " 80"; it must be a whole number from 0 to 65535.'],
    [{ PORT: '' }, 'PORT is ""; it must be a whole number from 0 to 65535.'],
    [{ PORT: '65536' }, 'PORT is "65536"; it must be a whole number from 0 to 65535.'],
    [{ PORT: null }, 'PORT is null; it must be a whole number from 0 to 65535.'],
    [{ RESUME_SECONDS: '-1' }, 'RESUME_SECONDS is "-1"; it must be a whole number from 0 to 2147483647.'],
    [{ IDLE_SECONDS: '5' }, 'IDLE_SECONDS is "5"; it must be 0 or a whole number from 8 to 960.'],
    [{ PARTITIONS: '3' }, 'PARTITIONS is "3"; it must be one of 1, 2, 4, 8, 16, 32, 64, 128, 256.'],
    [
      { OTEL_TRACES_SAMPLER_ARG: '1e-1' },
      'OTEL_TRACES_SAMPLER_ARG is "1e-1"; it must be a number from 0 to 1.',
    ],
    [{ REDIS_TLS: 'yes' }, 'REDIS_TLS is "yes"; it must be true or false (or 1 or 0).'],
    [{ KEY_PREFIX: '' }, 'KEY_PREFIX is ""; it must be text without braces and spaces.'],
    [{ KEY_PREFIX: '{x}' }, 'KEY_PREFIX is "{x}"; it must be text without braces and spaces.'],
    [{ DATA_DIR: '' }, 'DATA_DIR is ""; it must be text that is not empty.'],
    [
      { LOG_LEVEL: 'loud' },
      'LOG_LEVEL is "loud"; it must be one of fatal, error, warn, info, debug, trace, silent.',
    ],
    [{ REDIS_SENTINELS: 'a:26379' }, 'REDIS_MASTER is not set; it is required with REDIS_SENTINELS.'],
    [
      { REDIS_URL: 'redis://a', REDIS_CLUSTER: 'a:6379' },
      'REDIS_URL and REDIS_CLUSTER are set together; only one of REDIS_URL, REDIS_SENTINELS, REDIS_CLUSTER may be.',
    ],
  ])('refuses %j in one sentence', (values, problem) => {
    expect(validate(values)).toEqual({ ok: false, problem });
  });

  it.each([
    { REDIS_URL: 'http://:secret@localhost' },
    { REDIS_PASSWORD: ['secret'] },
    { REDIS_CLUSTER: 'redis://:secret@localhost:6379' },
    { REDIS_URL: 'redis://:secret@localhost', REDIS_PASSWORD: 'secret', REDIS_CLUSTER: 'a:6379' },
  ])('names the variable but not the secret in %j', (values) => {
    const result = validate(values);
    if (result.ok) expect.unreachable();
    expect(result.problem).toContain(Object.keys(values)[0]);
    expect(result.problem).not.toContain('secret');
  });
});
