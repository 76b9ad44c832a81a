import bearerAuth from '@fastify/bearer-auth';
import swagger from '@fastify/swagger';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Logger } from 'pino';
import { type IssuedToken, tokensOf } from '../account/account.js';
import type { Publisher } from '../bus/publisher.js';
import type { Deployment } from '../deployment.js';
import { historyOf } from '../operator/history.js';
import { listNodes } from '../operator/nodes.js';
import type { KnownAccount, Operator } from '../operator/operator.js';
import { BadCursor, type SessionFilter, sessionOf, sessionPage, sessionsOf } from '../operator/sessions.js';
import { Unavailable } from '../redis/unavailable.js';
import { isSessionId } from '../store/ids.js';
import * as shapes from './shapes.js';

export interface ApiOptions {
  /** Who brings it as a bearer token may do everything. */
  readonly token: string;
  /** What it works with; null as long as the process has not reached Redis for the first time. */
  readonly tools: () => ApiTools | null;
  readonly logger: Logger;
}

export interface ApiTools {
  readonly deployment: Deployment;
  readonly operator: Operator;
  readonly publisher: Publisher;
}

interface Actor {
  readonly Body: { readonly by: string };
}

/** The REST API of operators, as a plugin for fastify; it describes itself at `openapi.json`. */
export async function api(app: FastifyInstance, options: ApiOptions): Promise<void> {
  const { token, logger } = options;
  await app.register(swagger, { openapi: shapes.DOCUMENT });
  await app.register(bearerAuth, {
    keys: new Set([token]),
    errorResponse: () => problem('The bearer token is missing or wrong.'),
    contentType: 'application/json; charset=utf-8',
  });
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
    if (error instanceof Unavailable) {
      return reply.code(503).send(problem('Redis is away; it may or may not have been done.'));
    }
    const { statusCode = error instanceof BadCursor ? 400 : 500 } = error;
    if (statusCode >= 500) logger.error({ err: error }, 'an operator was not answered');
    return reply.code(statusCode).send(problem(statusCode >= 500 ? 'Internal error.' : error.message));
  });
  app.setNotFoundHandler((_request, reply) => notFound(reply, 'There is nothing at this path.'));

  /** @throws Unavailable */
  const tools = (): ApiTools => {
    const found = options.tools();
    if (!found) throw new Unavailable();
    return found;
  };

  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());

  app.get('/nodes', { schema: shapes.nodes }, async () => ({
    nodes: (await listNodes(tools().deployment)).map(({ node, report }) =>
      report
        ? {
            node,
            status: report.draining ? 'draining' : 'up',
            ...report,
            startedAt: isoTime(report.startedAt),
          }
        : { node, status: 'lost' },
    ),
  }));

  app.post<Actor & { Params: { node: string } }>(
    '/nodes/:node/logout',
    { schema: shapes.logoutNode },
    async ({ params, body }) => ({ ended: await tools().operator.logOutNode(params.node, body.by) }),
  );

  app.post<Actor & { Params: { node: string } }>(
    '/nodes/:node/drain',
    { schema: shapes.drainNode },
    async ({ params, body }, reply) => {
      const hasHeard = await tools().publisher.drain(params.node, body.by);
      if (!hasHeard) return notFound(reply, 'No gateway node of this name listens.');
      return reply.code(202).send({ node: params.node });
    },
  );

  app.get<{ Querystring: SessionFilter & { username?: string; limit: number; cursor?: string } }>(
    '/sessions',
    { schema: shapes.sessions },
    async ({ query }, reply) => {
      const { username, node, status, limit, cursor } = query;
      if (username === undefined) {
        const page = await sessionPage(tools().deployment, { node, status }, limit, cursor ?? null);
        return { ...page, sessions: page.sessions.map(withTime) };
      }
      const account = await tools().operator.account(username);
      if (!account) return noAccount(reply);
      const sessions = await sessionsOf(tools().deployment, account.accountId);
      const wanted = sessions.filter(
        (one) =>
          (status === undefined || one.status === status) &&
          (node === undefined || (one.status === 'attached' && one.node === node)),
      );
      return { sessions: wanted.map(withTime), next: null };
    },
  );

  app.get<{ Params: { session: string } }>(
    '/sessions/:session',
    { schema: shapes.session },
    async ({ params }, reply) => {
      const found = isSessionId(params.session) ? await sessionOf(tools().deployment, params.session) : null;
      return found ? withTime(found) : notFound(reply, 'There is no live session of this id.');
    },
  );

  app.get<{ Params: { session: string }; Querystring: { after?: string } }>(
    '/sessions/:session/events',
    { schema: shapes.sessionEvents },
    async ({ params, query }, reply) =>
      isSessionId(params.session)
        ? historyOf(tools().deployment, params.session, query.after ?? null)
        : notFound(reply, 'That is no id of a session.'),
  );

  app.post<Actor & { Params: { session: string } }>(
    '/sessions/:session/logout',
    { schema: shapes.logoutSession },
    async ({ params, body }, reply) => {
      const hasEnded = await tools().operator.logOut(params.session, body.by);
      return hasEnded ? { ended: [params.session] } : notFound(reply, 'There is no live session of this id.');
    },
  );

  app.get<{ Params: { username: string } }>(
    '/accounts/:username',
    { schema: shapes.account },
    async ({ params }, reply) => {
      const account = await tools().operator.account(params.username);
      if (!account) return noAccount(reply);
      const { accounts } = tools().deployment;
      const { state } = await accounts.load(account.accountId);
      const tokens = tokensOf(state);
      const uses = await accounts.tokenUses(account.accountId, tokens);
      return {
        account: account.accountId,
        username: account.username,
        status: state.status,
        tokens: tokens.map((issued, i) => tokenView(issued, uses[i] ?? null)),
      };
    },
  );

  /** An action on an account, whose answer is what `act` gives. */
  const onAccount = (
    name: string,
    schema: object,
    act: (account: KnownAccount, by: string) => Promise<object>,
  ) =>
    app.post<Actor & { Params: { username: string } }>(
      `/accounts/:username/${name}`,
      { schema },
      async ({ params, body }, reply) => {
        const account = await tools().operator.account(params.username);
        return account ? act(account, body.by) : noAccount(reply);
      },
    );
  onAccount('logout', shapes.logoutAccount, async ({ accountId }, by) => ({
    ended: await tools().operator.logOutAccount(accountId, by),
  }));
  onAccount('revoke-tokens', shapes.revokeTokens, async (account, by) => {
    const { tokens, sessions } = await tools().operator.revokeTokens(account, by);
    return { revoked: tokens, ended: sessions };
  });
  onAccount('disable', shapes.disable, async (account, by) => ({
    ended: await tools().operator.disable(account, by),
  }));
  onAccount('enable', shapes.enable, async (account, by) => {
    await tools().operator.enable(account, by);
    return {};
  });
}

function problem(message: string) {
  return { error: message };
}

function notFound(reply: FastifyReply, message: string) {
  return reply.code(404).send(problem(message));
}

function noAccount(reply: FastifyReply) {
  return notFound(reply, 'There is no account of this name.');
}

/** @param usedAt when it was last used; Redis' time in ms since the epoch */
function tokenView({ token, expiresAt }: IssuedToken, usedAt: number | null) {
  return {
    token: token.slice(0, SHOWN_CHARACTERS),
    expiresAt: isoTime(expiresAt),
    lastUsedAt: usedAt === null ? null : isoTime(usedAt),
  };
}

/** Of the hash of a token. */
const SHOWN_CHARACTERS = 8;

function withTime<T extends { readonly since: number }>(view: T) {
  return { ...view, since: isoTime(view.since) };
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
