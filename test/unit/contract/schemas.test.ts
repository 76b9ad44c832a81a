import { readdirSync, readFileSync } from 'node:fs';
import { Ajv2020, type SchemaObject, type ValidateFunction } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import {
  compileClientValidators,
  compileCloudEventValidator,
  compileEnvelopeValidator,
  compileEventValidators,
  compileServerValidators,
  type Validators,
} from '../../../src/contract/validators.js';
import { EXAMPLES } from './examples.js';

const ROOT = new URL('../../../schemas/', import.meta.url);
const FILES = readdirSync(ROOT, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.json'))
  .sort();

function read(file: string): SchemaObject {
  return JSON.parse(readFileSync(new URL(file, ROOT), 'utf8')) as SchemaObject;
}

/** The validators that the server uses, by file; the configuration's own reader has its own test. */
const VALIDATORS = new Map<string, ValidateFunction>([
  ['client/message.json', compileEnvelopeValidator()],
  ...byFile('client', compileClientValidators()),
  ...byFile('server', compileServerValidators()),
  ['events/cloudevent.json', compileCloudEventValidator()],
  ...byFile('events', compileEventValidators()),
  ['config.json', new Ajv2020({ keywords: ['x-allowed'] }).compile(read('config.json'))],
]);

function byFile<T>(folder: string, validators: Validators<T>): [string, ValidateFunction][] {
  return [...validators].map(([type, validate]) => [`${folder}/${type}.json`, validate]);
}

describe('the schema files', () => {
  it('have examples, every one of them', () => {
    expect(Object.keys(EXAMPLES).sort()).toEqual(FILES);
  });

  it('are compiled, every one of them', () => {
    expect([...VALIDATORS.keys()].sort()).toEqual(FILES);
  });

  it('have titles that differ', () => {
    const titles = FILES.map((file) => read(file).title);
    expect(new Set(titles).size).toBe(FILES.length);
  });

  it.each(FILES)('%s is valid JSON Schema 2020-12 with an id, a title and a description', (file) => {
    const schema = read(file);
    const ajv = new Ajv2020();
    ajv.validateSchema(schema);
    expect(ajv.errors).toBeNull();
    expect(schema).toMatchObject({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      $id: `https://openchamp.example/schemas/${file}`,
      title: expect.stringMatching(/^[A-Z][A-Za-z]+$/),
      description: expect.stringMatching(/\S/),
    });
  });

  it.each(FILES.filter((file) => /^(client|server)\//.test(file) && file !== 'client/message.json'))(
    '%s is named after its message type',
    (file) => {
      expect(file).toMatch(`/${read(file).properties.type.const}.json`);
    },
  );

  it('list the event types in the envelope', () => {
    expect(read('events/cloudevent.json').properties.type.enum).toEqual(
      [...compileEventValidators().keys()].sort(),
    );
  });
});

describe.each(Object.entries(EXAMPLES))('%s', (file, { valid, invalid }) => {
  const validate = VALIDATORS.get(file)!;

  it.each(valid.map((value) => [JSON.stringify(value), value]))('accepts %s', (_, value) => {
    validate(value);
    expect(validate.errors).toBeNull();
  });

  it.each(invalid.map((value) => [JSON.stringify(value), value]))('refuses %s', (_, value) => {
    expect(validate(value)).toBe(false);
  });
});

describe('the validators', () => {
  it.each(['message', '__proto__', 'constructor', 'toString', 'logout_most', ''])(
    'know no type %j',
    (type) => {
      expect(compileClientValidators().has(type)).toBe(false);
    },
  );

  it('leave the envelope of events out of the event types', () => {
    expect(compileEventValidators().has('cloudevent')).toBe(false);
  });
});
