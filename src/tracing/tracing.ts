import {
  context,
  DiagLogLevel,
  diag,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace-base';
import type { Logger } from 'pino';
import type { Dispatch } from '../handlers/dispatch.js';
import type { Log } from '../store/change.js';
import { within } from '../within.js';

export interface TracingOptions {
  /** Where traces are sent by OTLP over HTTP, without the path `/v1/traces`. */
  readonly endpoint: string;
  /** Share of the messages that are traced, 0 to 1. */
  readonly ratio: number;
  /** Id of this node. */
  readonly node: string;
  readonly logger: Logger;
}

/** Traces of OpenTelemetry: a span for each message, from its frame to its answer, with one for each commit in it. */
export interface Tracing {
  /** Wraps the way of a message. @param isKnown tells types of messages that have a name of their own */
  dispatch(dispatch: Dispatch, isKnown: (type: string) => boolean): Dispatch;
  /** Wraps the log. */
  log(log: Log): Log;
  /** Sends what is left, if that is quickly done. */
  close(): Promise<void>;
}

const CLOSING_MS = 2000;

/** Begins to trace. Only this module loads OpenTelemetry, and only a process that traces loads it. */
export function startTracing({ endpoint, ratio, node, logger }: TracingOptions): Tracing {
  const report = (message: string, ...details: unknown[]) => logger.warn({ details }, `tracing: ${message}`);
  const ignore = () => {};
  diag.setLogger(
    { error: report, warn: report, info: ignore, debug: ignore, verbose: ignore },
    DiagLogLevel.WARN,
  );
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/$/, '')}/v1/traces` });
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'openchamp', 'service.instance.id': node }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) }),
    spanProcessors: [new BatchSpanProcessor(exporter)],
  });
  const tracer = provider.getTracer('openchamp');
  return {
    dispatch: (dispatch, isKnown) => tracedDispatch(tracer, dispatch, isKnown),
    log: (log) => tracedLog(tracer, log),
    async close() {
      await within(CLOSING_MS, provider.shutdown()).catch((error: unknown) => {
        logger.warn({ err: error }, 'the last traces could not be sent');
      });
    },
  };
}

function tracedDispatch(tracer: Tracer, dispatch: Dispatch, isKnown: (type: string) => boolean): Dispatch {
  return (client, message, cameAt, done) => {
    const type = isKnown(message.type) ? message.type : 'other';
    const span = tracer.startSpan(`message ${type}`, {
      kind: SpanKind.SERVER,
      attributes: { 'openchamp.message.type': type, 'openchamp.connection': client.number },
      ...(cameAt !== null && { startTime: performance.timeOrigin + cameAt }),
    });
    const before = client.session;
    const end = () => {
      const session = client.session ?? before;
      if (session) span.setAttribute('session.id', session.id);
      span.setAttribute('openchamp.message.result', client.result);
      if (client.result === 'unavailable') span.setStatus({ code: SpanStatusCode.ERROR });
      span.end();
    };
    const outside = context.active();
    const takesLonger = context.with(trace.setSpan(outside, span), () =>
      dispatch(client, message, cameAt, () => {
        end();
        context.with(outside, done, undefined, client); // the next message is no part of this one
      }),
    );
    if (!takesLonger) end();
    return takesLonger;
  };
}

function tracedLog(tracer: Tracer, log: Log): Log {
  return {
    commit(operation, limit) {
      const { partition, events } = operation;
      const span = tracer.startSpan('commit', {
        kind: SpanKind.CLIENT,
        attributes: {
          'db.system.name': 'redis',
          'openchamp.partition': partition,
          'openchamp.events': events.map(({ type }) => type),
        },
      });
      const committed = log.commit(operation, limit);
      committed.then(
        (result) => {
          span.setAttribute('openchamp.committed', result.committed);
          span.end();
        },
        (error: unknown) => {
          span.setStatus({ code: SpanStatusCode.ERROR, message: String(error) });
          span.end();
        },
      );
      return committed;
    },
  };
}
