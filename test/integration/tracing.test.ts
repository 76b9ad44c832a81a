import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../support/client.js';
import { logout, tokenAuth } from '../support/conversation.js';
import { eventually } from '../support/eventually.js';
import { Fleet } from '../support/fleet.js';
import { type RedisServer, startRedis } from '../support/redis.js';

interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly { readonly key: string; readonly value: object }[];
}

/** What stands for a collector: it keeps the spans that it is sent. */
async function startCollector(): Promise<{ url: string; spans: Span[]; close: () => void }> {
  const spans: Span[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => {
      body += text;
    });
    request.on('end', () => {
      if (request.url === '/v1/traces') {
        const { resourceSpans } = JSON.parse(body) as {
          resourceSpans: { scopeSpans: { spans: Span[] }[] }[];
        };
        spans.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)));
      }
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, spans, close: () => void server.close() };
}

function attribute({ attributes }: Span, key: string): unknown {
  const value = attributes.find((one) => one.key === key)?.value;
  return value && Object.values(value)[0];
}

describe('traces', () => {
  let redis: RedisServer;
  let fleet: Fleet;

  beforeAll(async () => {
    redis = await startRedis();
    fleet = new Fleet({ REDIS_URL: redis.url }, redis.client());
  });
  afterAll(async () => {
    await fleet?.stop();
    await redis?.stop();
  });

  it('have a span for each message, from its frame to its answer, and one for each commit in it', async () => {
    const collector = await startCollector();
    const node = await fleet.serve({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, DRAIN_SECONDS: '0' });
    const [account] = await fleet.seed(1);
    const client = await connect(node.wsUrl);
    client.send({ type: 'logout' });
    await client.next();
    await tokenAuth(client, account!.token);
    await logout(client);
    client.send({ type: 'nonsense' });
    await client.next();
    await client.close();
    await node.stop();

    const [refused, login, logoutSpan, other] = collector.spans
      .filter(({ name }) => name.startsWith('message'))
      .sort((a, b) => Number(BigInt(a.startTimeUnixNano) - BigInt(b.startTimeUnixNano))) as Span[];
    expect([refused, login, logoutSpan, other].map((span) => span!.name)).toEqual([
      'message logout',
      'message token_auth',
      'message logout',
      'message other',
    ]);
    expect(attribute(refused!, 'openchamp.message.result')).toBe('refused');
    expect(attribute(login!, 'openchamp.message.result')).toBe('ok');
    const [session] = await fleet.sessionsOf(account!.token);
    expect(attribute(logoutSpan!, 'session.id')).toBe(session![0]!.subject);

    const commits = collector.spans.filter(({ name }) => name === 'commit');
    expect(commits.map(({ parentSpanId }) => parentSpanId).sort()).toEqual(
      [login!, logoutSpan!].map(({ spanId }) => spanId).sort(),
    );
    const commit = commits.find(({ parentSpanId }) => parentSpanId === logoutSpan!.spanId)!;
    expect(JSON.stringify(attribute(commit, 'openchamp.events'))).toContain('session.logged_out');
    const aMs = 1_000_000n; // spans begin at whole ms, and end so much later as they took
    expect(BigInt(commit.endTimeUnixNano) <= BigInt(logoutSpan!.endTimeUnixNano) + aMs).toBe(true);
    expect(JSON.stringify(collector.spans)).not.toContain(account!.token);
    expect(JSON.stringify(collector.spans)).not.toContain(account!.username);
    collector.close();
  });

  it('are one for each message, also for those that come before the one before is answered', async () => {
    const collector = await startCollector();
    const node = await fleet.serve({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, DRAIN_SECONDS: '0' });
    const [account] = await fleet.seed(1, 'hasty');
    const client = await connect(node.wsUrl);
    client.send({ type: 'token_auth', payload: { token: account!.token } });
    client.send({ type: 'logout' });
    client.send({ type: 'token_auth', payload: { token: account!.token } });
    await eventually(() => client.received.length === 3);
    client.send({ type: 'set_username', payload: 'Hasty' });
    await client.close(); // what comes of that is no part of a message
    await eventually(async () => {
      const events = (await fleet.sessionsOf(account!.token)).flat();
      return events.some(({ type }) => type === 'session.detached');
    });
    await node.stop();

    const messages = collector.spans.filter(({ name }) => name.startsWith('message'));
    expect(messages.length).toBeGreaterThanOrEqual(3);
    expect(messages.filter(({ parentSpanId }) => parentSpanId)).toEqual([]);
    const detach = collector.spans.find(({ attributes }) => JSON.stringify(attributes).includes('detached'));
    expect(detach?.parentSpanId ?? '').toBe('');
    collector.close();
  });

  it('that nobody takes hold up nothing', async () => {
    const node = await fleet.serve({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9', DRAIN_SECONDS: '0' });
    const [account] = await fleet.seed(1, 'other');
    const client = await connect(node.wsUrl);
    await tokenAuth(client, account!.token);
    await logout(client);
    await client.close();
    expect(await node.stop()).toEqual({ code: 0, signal: null });
    await eventually(async () => fleet.expectConsistent());
  });
});
