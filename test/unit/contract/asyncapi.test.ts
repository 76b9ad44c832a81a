import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type AsyncAPIDocumentInterface, fromFile, Parser } from '@asyncapi/parser';
import type { ValidateFunction } from 'ajv/dist/2020.js';
import { beforeAll, describe, expect, it } from 'vitest';
import { compileClientValidators, compileServerValidators } from '../../../src/contract/validators.js';

const SCHEMAS = new URL('../../../schemas/', import.meta.url);
const ERROR = 0;

let api: AsyncAPIDocumentInterface;
let problems: string[];

beforeAll(async () => {
  const { document, diagnostics } = await fromFile(
    new Parser(),
    fileURLToPath(new URL('asyncapi.yaml', SCHEMAS)),
  ).parse();
  problems = diagnostics
    .filter(({ severity }) => severity === ERROR)
    .map(({ path, message }) => `${path.join('.')}: ${message}`);
  if (document) api = document;
});

describe('asyncapi.yaml', () => {
  it('is a valid AsyncAPI document', () => {
    expect(problems).toEqual([]);
    expect(api.version()).toBe('3.0.0');
  });

  it('has the messages that have schemas, and no others', () => {
    const files = (folder: string) =>
      readdirSync(new URL(folder, SCHEMAS)).map((file) => `${folder}/${file}`);
    const expected = [...files('client'), ...files('server')].filter(
      (file) => file !== 'client/message.json',
    );
    const described = api
      .messages()
      .all()
      .map((message) =>
        message
          .payload()!
          .id()
          .replace(/^.*schemas\//, ''),
      );
    expect(described.sort()).toEqual(expected.sort());
  });

  it('describes each message by the schema file of its type', () => {
    for (const message of api.messages().all()) {
      expect(message.payload()?.properties()?.type?.const()).toBe(message.name());
      expect(message.payload()?.id()).toMatch(
        new RegExp(`^https://openchamp\\.example/schemas/(client|server)/${message.name()}\\.json$`),
      );
    }
  });

  it('gives examples that its schemas accept', () => {
    const validators = new Map<string, ValidateFunction>([
      ...[...compileClientValidators()].map(([type, validate]) => [`client/${type}`, validate] as const),
      ...[...compileServerValidators()].map(([type, validate]) => [`server/${type}`, validate] as const),
    ]);
    for (const message of api.messages().all()) {
      const validate = validators.get(/(?:client|server)\/\w+/.exec(message.payload()!.id())![0])!;
      expect(message.examples().all().length).toBeGreaterThan(0);
      for (const example of message.examples().all()) {
        validate(example.payload());
        expect(validate.errors).toBeNull();
      }
    }
  });

  it('receives every message of a client and sends every message of the server', () => {
    const received = api.operations().filterByReceive();
    const sent = api.operations().filterBySend();
    const replies = received.flatMap((operation) => operation.reply()?.messages().all() ?? []);
    expect(unique(received.flatMap((operation) => operation.messages().all()))).toEqual(
      [...compileClientValidators().keys()].sort(),
    );
    expect(unique([...replies, ...sent.flatMap((operation) => operation.messages().all())])).toEqual(
      [...compileServerValidators().keys()].sort(),
    );
  });

  it('serves all of them on /ws', () => {
    expect(
      api
        .channels()
        .all()
        .map((channel) => channel.address()),
    ).toEqual(['/ws']);
  });
});

function unique(messages: { name(): string | undefined }[]): string[] {
  return [...new Set(messages.map((message) => message.name()!))].sort();
}
