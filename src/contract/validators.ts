import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  Ajv2020,
  type ErrorObject,
  type Options,
  type SchemaObject,
  type ValidateFunction,
} from 'ajv/dist/2020.js';
import type { ClientMessage, MessageEnvelope } from './client.generated.js';
import type { ConfigVariables } from './config.generated.js';
import type { CloudEvent, EventData, EventType } from './events.generated.js';
import type { ServerMessage } from './server.generated.js';

/**
 * The JSON Schema files (2020-12) in `schemas/`, compiled. Everything here reads files and generates code: call it at
 * boot and keep what it returns. Each function throws if a schema cannot be read or compiled.
 *
 * A validator answers true or false and stops at the first error, which it leaves in its `errors` until its next call.
 */

/** Validators by the type of the message or event. A Map, so that no type can hit a member of a prototype. */
export type Validators<T> = ReadonlyMap<string, ValidateFunction<T>>;

/** The outcome of reading the configuration. `problem` is one sentence for the operator and holds no secret. */
export type ConfigResult =
  | { readonly ok: true; readonly config: ConfigVariables }
  | { readonly ok: false; readonly problem: string };

/** The validator of what every message of a client must be: an object with a string `type`. */
export function compileEnvelopeValidator(): ValidateFunction<MessageEnvelope> {
  return newAjv().compile<MessageEnvelope>(readSchema('client/message.json'));
}

/** The validators of the messages of a client, by message type. Each checks the whole message. */
export function compileClientValidators(): Validators<ClientMessage> {
  return compileFolder<ClientMessage>('client', 'message');
}

/** The validators of the messages of the server, by message type. Each checks the whole message. */
export function compileServerValidators(): Validators<ServerMessage> {
  return compileFolder<ServerMessage>('server');
}

/** The validators of the data of events, by event type. */
export function compileEventValidators(): Validators<EventData[EventType]> {
  return compileFolder<EventData[EventType]>('events', 'cloudevent');
}

/** The validator of an event as the command line prints it. It does not look into `data`. */
export function compileCloudEventValidator(): ValidateFunction<CloudEvent> {
  return newAjv().compile<CloudEvent>(readSchema('events/cloudevent.json'));
}

/**
 * The reader of the environment variables in `schemas/config.json`. It takes the whole environment, leaves it as it is
 * and answers with the known variables only: coerced (whole numbers in digits; true, false, 1, 0), defaults filled in.
 * An empty value counts as not set where there is no default, and is checked like any other where there is one.
 */
export function compileConfigValidator(): (values: Record<string, unknown>) => ConfigResult {
  const schema = readSchema('config.json') as ConfigSchema;
  const validate = newAjv({ useDefaults: true, keywords: [ALLOWED_KEYWORD] }).compile<ConfigVariables>(
    schema,
  );
  return (values) => {
    const config: unknown = coerceKnown(schema, values);
    if (validate(config)) return { ok: true, config };
    return { ok: false, problem: problemOf(schema, values, validate.errors![0]!) };
  };
}

/** Both `src/contract` and `dist/contract` are two levels below the root of the package. */
const SCHEMAS = new URL('../../schemas/', import.meta.url);

/** What a variable may be, in words, where its schema alone does not say it to people. */
const ALLOWED_KEYWORD = 'x-allowed';

interface VariableSchema {
  readonly type: 'string' | 'integer' | 'number' | 'boolean';
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
  /** The standard mark of a secret. */
  readonly writeOnly?: boolean;
  readonly [ALLOWED_KEYWORD]?: string;
}

interface ConfigSchema extends SchemaObject {
  readonly properties: Readonly<Record<string, VariableSchema>>;
  /** The pairs of variables that exclude each other. */
  readonly not: { readonly anyOf: readonly { readonly required: readonly string[] }[] };
}

function newAjv(options: Options = {}): Ajv2020 {
  return new Ajv2020({ allowUnionTypes: true, ...options });
}

function readSchema(path: string): SchemaObject {
  return JSON.parse(readFileSync(new URL(path, SCHEMAS), 'utf8')) as SchemaObject;
}

/** Compiles the schemas of a folder except one. A file is named after its type. */
function compileFolder<T>(folder: string, except?: string): Validators<T> {
  const ajv = newAjv();
  const types = readdirSync(fileURLToPath(new URL(folder, SCHEMAS)))
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .filter((type) => type !== except);
  return new Map(types.map((type) => [type, ajv.compile<T>(readSchema(`${folder}/${type}.json`))]));
}

function coerceKnown(schema: ConfigSchema, values: Record<string, unknown>): Record<string, unknown> {
  const known: Record<string, unknown> = {};
  for (const [name, variable] of Object.entries(schema.properties)) {
    const value = values[name];
    if (value === undefined || (value === '' && variable.default === undefined)) continue;
    known[name] = typeof value === 'string' ? coerce(value, variable) : value;
  }
  return known;
}

/** Stricter than Ajv's own coercion, which takes `0x10` and `1e3` too. What it can't read stays text, to be refused. */
function coerce(text: string, { type }: VariableSchema): unknown {
  if (type === 'integer' && /^-?[0-9]+$/.test(text)) return Number(text);
  if (type === 'number' && /^-?[0-9]+(\.[0-9]+)?$/.test(text)) return Number(text);
  if (type === 'boolean' && (text === 'true' || text === '1')) return true;
  if (type === 'boolean' && (text === 'false' || text === '0')) return false;
  return text;
}

function problemOf(schema: ConfigSchema, values: Record<string, unknown>, error: ErrorObject): string {
  if (error.instancePath !== '') {
    const name = error.instancePath.slice(1);
    const variable = schema.properties[name]!;
    return `${name} ${shown(values[name], variable)}; it must be ${allowed(variable)}.`;
  }
  if (error.keyword === 'dependentRequired') {
    const { property, missingProperty } = error.params as { property: string; missingProperty: string };
    return `${missingProperty} is not set; it is required with ${property}.`;
  }
  const exclusive = [...new Set(schema.not.anyOf.flatMap(({ required }) => required))];
  const given = exclusive.filter((name) => values[name] !== undefined && values[name] !== '');
  return `${given.join(' and ')} are set together; only one of ${exclusive.join(', ')} may be.`;
}

/** The value for a sentence. Whatever holds an `@` may hold a password in front of it. */
function shown(value: unknown, { writeOnly }: VariableSchema): string {
  const text = JSON.stringify(value);
  return writeOnly || text.includes('@') ? 'has a bad value (not shown here)' : `is ${text}`;
}

function allowed(variable: VariableSchema): string {
  const words = variable[ALLOWED_KEYWORD];
  if (words !== undefined) return words;
  if (variable.enum) return `one of ${variable.enum.join(', ')}`;
  if (variable.type === 'integer') return `a whole number from ${variable.minimum} to ${variable.maximum}`;
  if (variable.type === 'number') return `a number from ${variable.minimum} to ${variable.maximum}`;
  return variable.type === 'boolean' ? 'true or false (or 1 or 0)' : 'text that is not empty';
}
