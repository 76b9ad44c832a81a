#!/usr/bin/env node
/**
 * Writes the TypeScript types of the contract, `src/contract/*.generated.ts`, from `schemas/`.
 *
 * `--check` writes nothing: it names each file that is not what the schemas say, and exits with 1 if there is one.
 * `--out <folder>` reads or writes the files there instead of in `src/contract`.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compile } from 'json-schema-to-typescript';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const SCHEMAS = join(ROOT, 'schemas');
const HEADER = '// Generated from schemas/ by `npm run generate`. Change the schemas, not this file.\n';

/** What a schema leaves open is still accepted at run time, but no code of ours should lean on it. */
const OPTIONS = {
  additionalProperties: false,
  bannerComment: '',
  unknownAny: true,
  style: { singleQuote: true, printWidth: 110, trailingComma: 'all' },
};

const { values: flags } = parseArgs({ options: { check: { type: 'boolean' }, out: { type: 'string' } } });
const target = flags.out ? resolve(flags.out) : join(ROOT, 'src', 'contract');

const files = {
  'client.generated.ts': await clientTypes(),
  'server.generated.ts': await serverTypes(),
  'events.generated.ts': await eventTypes(),
  'config.generated.ts': await configTypes(),
};
if (flags.check) check(files);
else write(files);

async function clientTypes() {
  const schemas = readFolder('client');
  const messages = schemas.filter(({ name }) => name !== 'message');
  return [
    ...(await declarations(schemas)),
    `/** Every message of a client that the server knows. */\n${union('ClientMessage', messages)}`,
  ];
}

async function serverTypes() {
  const schemas = readFolder('server');
  return [
    ...(await declarations(schemas)),
    `/** Every message that the server sends. */\n${union('ServerMessage', schemas)}`,
  ];
}

async function eventTypes() {
  const schemas = readFolder('events');
  const events = schemas.filter(({ name }) => name !== 'cloudevent');
  const envelope = schemas.find(({ name }) => name === 'cloudevent').schema;
  Object.assign(envelope.properties.type, { tsType: 'EventType' });
  Object.assign(envelope.properties.data, { tsType: 'EventData[EventType]' });
  const members = events.map(({ name, schema }) => `  '${name}': ${schema.title};\n`);
  return [
    ...(await declarations(schemas)),
    `/** The data of each type of event. */\nexport interface EventData {\n${members.join('')}}\n`,
    '/** Every type of event in the log. */\nexport type EventType = keyof EventData;\n',
  ];
}

/** A variable with a default always has a value once it has been read. */
async function configTypes() {
  const schema = readSchema('config.json');
  schema.required = Object.keys(schema.properties).filter((name) => 'default' in schema.properties[name]);
  return declarations([{ name: 'config', schema }]);
}

/** The schemas of a folder with their names (the file's name without `.json`), in the order of the names. */
function readFolder(folder) {
  const names = readdirSync(join(SCHEMAS, folder)).filter((file) => file.endsWith('.json'));
  return names.sort().map((file) => ({
    name: file.slice(0, -'.json'.length),
    schema: readSchema(join(folder, file)),
  }));
}

function readSchema(path) {
  return JSON.parse(readFileSync(join(SCHEMAS, path), 'utf8'));
}

function declarations(schemas) {
  return Promise.all(schemas.map(({ schema }) => compile(exact(schema), schema.title, OPTIONS)));
}

/** Says outright what the compiler would loosen: any value is `unknown`, an object without members has none. */
function exact(schema) {
  const { payload } = schema.properties;
  if (payload && !('type' in payload)) payload.tsType = 'unknown';
  if (Object.keys(schema.properties).length === 0) schema.tsType = 'Record<string, never>';
  return schema;
}

function union(name, schemas) {
  return `export type ${name} =${schemas.map(({ schema }) => `\n  | ${schema.title}`).join('')};\n`;
}

function text(parts) {
  return `${HEADER}\n${parts.join('\n')}`;
}

function write(files) {
  mkdirSync(target, { recursive: true });
  for (const [name, parts] of Object.entries(files)) writeFileSync(join(target, name), text(parts));
}

function check(files) {
  for (const [name, parts] of Object.entries(files)) {
    const path = join(target, name);
    if (readIfThere(path) === text(parts)) continue;
    console.error(`${relative(ROOT, path)} differs from schemas/; run \`npm run generate\`.`);
    process.exitCode = 1;
  }
}

function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return null;
    throw error;
  }
}
