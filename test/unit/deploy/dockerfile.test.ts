import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { DockerfileParser, type Instruction, type JSONInstruction } from 'dockerfile-ast';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createMetrics } from '../../../src/admin/metrics.js';
import { startAdmin } from '../../../src/admin/server.js';
import { IDLE } from '../../support/metrics.js';
import { ROOT, read, SETTINGS } from './files.js';

const dockerfile = DockerfileParser.parse(read('Dockerfile'));
const instructions = dockerfile.getInstructions();
const lastFrom = instructions.findLastIndex((instruction) => instruction.getKeyword() === 'FROM');
const image = instructions.slice(lastFrom);

const only = (keyword: string, of: readonly Instruction[] = image): Instruction => {
  const found = of.filter((instruction) => instruction.getKeyword() === keyword);
  expect(found, keyword).toHaveLength(1);
  return found[0]!;
};
const execForm = (instruction: Instruction): string[] =>
  (instruction as JSONInstruction)
    .getJSONStrings()
    .map((argument) => JSON.parse(argument.getJSONValue() === '' ? '""' : argument.getValue()) as string);

describe('the Dockerfile', () => {
  it('takes every stage from one image, which can be given by digest, of a Node.js that is supported', () => {
    const images = dockerfile.getFROMs().map((from) => from.getImage());
    expect(images).toEqual(Array(2).fill(`\${NODE_IMAGE}`));
    const [argument] = dockerfile.getInitialARGs();
    const major = /^NODE_IMAGE=node:(\d+)-/.exec(argument!.getArgumentsContent()!)?.[1];
    const { engines } = JSON.parse(read('package.json')) as { engines: { node: string } };
    expect(Number(major)).toBeGreaterThanOrEqual(Number.parseInt(engines.node.slice(2), 10));
  });

  it('runs the server as somebody who is not root, by number', () => {
    expect(only('USER').getArgumentsContent()).toMatch(/^[1-9]\d*:[1-9]\d*$/);
  });

  it('puts no shell between the engine and the server', () => {
    const [node, script] = execForm(only('ENTRYPOINT'));
    expect(node).toBe('node');
    const { bin } = JSON.parse(read('package.json')) as { bin: Record<string, string> };
    expect(Object.values(bin)).toContain(script);
    expect(execForm(only('CMD'))).toEqual(['serve']);
  });

  it('copies what is there, and what .dockerignore lets through', () => {
    const allowed = [...read('.dockerignore').matchAll(/^!(.+)$/gm)].map(([, name]) => name!);
    expect(allowed.filter((name) => !existsSync(`${ROOT}${name}`))).toEqual([]);
    const sources = dockerfile
      .getCOPYs()
      .filter((copy) => copy.getFlags().length === 0)
      .flatMap((copy) => copy.getArguments().slice(0, -1))
      .map((argument) => argument.getValue().replace(/\/$/, ''));
    expect([...new Set(sources)].toSorted()).toEqual(allowed.toSorted());
  });

  it("exposes the server's ports", () => {
    expect(only('EXPOSE').getArgumentsContent()).toBe(
      `${SETTINGS.PORT?.default} ${SETTINGS.ADMIN_PORT?.default}`,
    );
  });

  it('has a health check that tells a server that lives from none, whether or not it is ready', async () => {
    const text = only('HEALTHCHECK').getArgumentsContent()!;
    const [program, ...args] = JSON.parse(/CMD (\[.*\])$/.exec(text)![1]!) as string[];
    const admin = await startAdmin({
      host: '127.0.0.1',
      port: 0,
      readiness: async () => 'Redis cannot be reached',
      metrics: createMetrics(IDLE),
      api: null,
      logger: pino({ level: 'silent' }),
    });
    onTestFinished(() => admin.close());
    const check = async () => {
      const { PATH = '' } = process.env;
      const child = spawn(program!, args, { env: { PATH, ADMIN_PORT: `${admin.port}` } });
      return (await once(child, 'exit'))[0] as number;
    };
    expect(await check()).toBe(0);
    await admin.close();
    expect(await check()).toBe(1);
  });
});
