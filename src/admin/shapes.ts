/** The shapes of the operators' API, as JSON Schema: what is accepted, what is answered, and the OpenAPI document. */

/** What no route says of itself. */
export const DOCUMENT = {
  openapi: '3.1.0',
  info: {
    title: "Operators' API of the OpenChamp session server",
    version: '1',
    description: 'Any gateway node and any worker answers for the whole deployment.',
  },
  servers: [{ url: '/api' }],
  components: {
    securitySchemes: { token: { type: 'http' as const, scheme: 'bearer', description: 'ADMIN_TOKEN' } },
  },
  security: [{ token: [] }],
};

const text = { type: 'string' };
const count = { type: 'integer', minimum: 0 };
const time = { type: 'string', format: 'date-time' };
const sessionIds = { type: 'array', items: text, description: 'Sessions that have ended by this.' };
const oneOf = (...values: string[]) => ({ type: 'string', enum: values });

const object = (properties: Record<string, object>, optional: readonly string[] = []) => ({
  type: 'object',
  properties,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
  additionalProperties: false,
});

const actor = object({
  by: { type: 'string', minLength: 1, maxLength: 100, description: 'Who does it; stands in the log.' },
});

const parameters = (name: string) => ({
  type: 'object',
  properties: { [name]: { type: 'string', minLength: 1 } },
  required: [name],
});

const error = { description: 'Why not.', ...object({ error: text }) };
const answers = (status: number, description: string, shape: object) => ({
  [status]: { description, ...shape },
  400: error,
  401: error,
  404: error,
  503: error,
});

const sessionShape = object(
  {
    session: text,
    account: text,
    username: { type: ['string', 'null'], description: 'Null if it is not known.' },
    status: oneOf('attached', 'detached'),
    reason: { ...oneOf('closed', 'drained', 'node_lost', 'taken_over'), description: 'Of a detached one.' },
    since: {
      ...time,
      description: 'When it changed last: was attached, detached, renamed, joined or left the queue.',
    },
    node: { ...text, description: 'Where it is, or was last.' },
    connection: count,
  },
  ['reason'],
);

const tokenShape = object({
  token: {
    ...text,
    description: 'How its hash begins, which stands in the log; the token itself is nowhere.',
  },
  expiresAt: time,
  lastUsedAt: {
    ...time,
    type: ['string', 'null'],
    description: 'The last token_auth with it, or one up to a minute before that; null: none yet.',
  },
});

export const nodes = {
  summary: 'The gateway nodes, and those that were lost in the last hour.',
  response: answers(
    200,
    'As they said with their last lease.',
    object({
      nodes: {
        type: 'array',
        items: object(
          {
            node: text,
            status: oneOf('up', 'draining', 'lost'),
            connections: count,
            sessions: count,
            startedAt: time,
          },
          ['connections', 'sessions', 'startedAt'],
        ),
      },
    }),
  ),
};

export const logoutNode = {
  summary: 'Ends all sessions that are attached to a node.',
  params: parameters('node'),
  body: actor,
  response: answers(200, 'How many have ended.', object({ ended: count })),
};

export const drainNode = {
  summary: 'Has a node go as by SIGTERM: its clients are sent elsewhere, and the process ends.',
  params: parameters('node'),
  body: actor,
  response: answers(202, 'The node has heard it.', object({ node: text })),
};

export const sessions = {
  summary: 'The live sessions, a page at a time.',
  description:
    'A page has about `limit` sessions, and may have fewer, even none, before the last one. A session that changes while you page may come twice, or not at all. With `username` there is one page.',
  querystring: {
    type: 'object',
    properties: {
      username: { type: 'string', minLength: 1 },
      node: { type: 'string', minLength: 1, description: 'Only those attached to this node.' },
      status: oneOf('attached', 'detached'),
      limit: { type: 'integer', minimum: 1, maximum: 1000, default: 100 },
      cursor: { ...text, description: '`next` of the page before.' },
    },
    additionalProperties: false,
  },
  response: answers(
    200,
    'A page.',
    object({
      sessions: { type: 'array', items: sessionShape },
      next: { type: ['string', 'null'], description: 'Cursor of the next page; null after the last.' },
    }),
  ),
};

export const session = {
  summary: 'A live session.',
  params: parameters('session'),
  response: answers(200, 'The session.', sessionShape),
};

export const sessionEvents = {
  summary: 'What the log has of a session, also of one that has ended.',
  description:
    'A page looks at 20,000 entries of the log and may have no event: go on with `next` until it is null.',
  params: parameters('session'),
  querystring: {
    type: 'object',
    properties: {
      after: {
        type: 'string',
        pattern: '^[0-9]{1,16}-[0-9]{1,16}$',
        description: '`next` of the page before, or a time in ms since the epoch followed by `-0`.',
      },
    },
    additionalProperties: false,
  },
  response: answers(
    200,
    'A page.',
    object({
      events: {
        type: 'array',
        items: { type: 'object', additionalProperties: true, description: 'A CloudEvent 1.0.' },
      },
      next: { type: ['string', 'null'] },
    }),
  ),
};

export const logoutSession = {
  summary: 'Ends a session on whichever node it is.',
  params: parameters('session'),
  body: actor,
  response: answers(200, 'It has ended.', object({ ended: sessionIds })),
};

export const account = {
  summary: 'An account.',
  params: parameters('username'),
  response: answers(
    200,
    'The account.',
    object({
      account: text,
      username: text,
      status: oneOf('registered', 'disabled'),
      tokens: { type: 'array', items: tokenShape, description: 'In the order of their issue.' },
    }),
  ),
};

export const logoutAccount = {
  summary: 'Ends all sessions of an account; its tokens stay valid.',
  params: parameters('username'),
  body: actor,
  response: answers(200, 'What has ended.', object({ ended: sessionIds })),
};

export const revokeTokens = {
  summary: 'Revokes all tokens of an account, which ends its sessions.',
  params: parameters('username'),
  body: actor,
  response: answers(200, 'What was revoked and has ended.', object({ revoked: count, ended: sessionIds })),
};

export const disable = {
  summary: 'Shuts an account: its tokens are revoked, its sessions end, nobody can log in to it.',
  params: parameters('username'),
  body: actor,
  response: answers(200, 'What has ended.', object({ ended: sessionIds })),
};

export const enable = {
  summary: 'Opens a disabled account again.',
  params: parameters('username'),
  body: actor,
  response: answers(200, 'It is open.', object({})),
};
