import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { GivenLoad } from './givenLoad.js';
import { chat } from './large/chat.js';
import { delay } from './large/delay.js';
import { lineOf } from './large/finding.js';
import { growth } from './large/growth.js';
import { recovery } from './large/recovery.js';
import { storm } from './large/storm.js';
import type { LargeTest, Size } from './large/test.js';
import { machine } from './machine.js';
import { OwnLoad } from './ownLoad.js';
import { Processes } from './processes.js';

const TESTS: Readonly<Record<string, LargeTest>> = { storm, growth, chat, recovery, delay };

const SIZES = ['clients', 'nodes', 'rate', 'seconds', 'rounds'] as const;

const HELP = `
Large tests: what takes many clients, several nodes or a long time. Each compares what it finds with a target.

  npm run bench:large -- TEST [options]

${Object.entries(TESTS)
  .map(
    ([name, { description, size }]) =>
      `  ${name.padEnd(10)} ${description}\n${' '.repeat(13)}${defaultsOf(size)}`,
  )
  .join('\n')}

  --clients N, --nodes N, --rate N, --seconds S, --rounds N    another size than the usual one
  --generator PATH    make the load by this program; bench/givenLoad.ts says which options it has to take
  --json FILE         where the result goes (default: bench-TEST.json)

The exit code is 0 if all targets are met, 1 if not, 2 if the options are bad.
`;

const EXIT_NOT_MET = 1;
const EXIT_BAD_OPTIONS = 2;

const number = { type: 'string' } as const;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    clients: number,
    nodes: number,
    rate: number,
    seconds: number,
    rounds: number,
    generator: { type: 'string' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const [name = ''] = positionals;
const test = Object.hasOwn(TESTS, name) ? TESTS[name] : undefined;
const size = test && sizeOf(test);
if (values.help) {
  process.stdout.write(HELP.trimStart());
} else if (!test || !size) {
  process.stderr.write(HELP.trimStart());
  process.exitCode = EXIT_BAD_OPTIONS;
} else {
  process.exitCode = await runLarge(test, size);
}

/** @returns the exit code */
async function runLarge({ run }: LargeTest, size: Size): Promise<number> {
  const processes = new Processes();
  processes.endOnSignals();
  try {
    const load = values.generator ? new GivenLoad(values.generator, processes) : new OwnLoad(processes);
    const redis = await processes.redis();
    const say = (line: string) => process.stderr.write(`${line}\n`);
    const { findings, seen } = await run({ processes, redis, load, size, say });
    process.stdout.write(findings.map((finding) => `${lineOf(finding)}\n`).join(''));
    const at = new Date().toISOString();
    const options = { ...size, generator: values.generator ?? null };
    const result = { at, machine: await machine(redis.client), test: name, options, findings, seen };
    writeFileSync(values.json ?? `bench-${name}.json`, `${JSON.stringify(result, null, 2)}\n`);
    return findings.every(({ isMet }) => isMet) ? 0 : EXIT_NOT_MET;
  } finally {
    await processes.end();
  }
}

/** The usual size of a test, with what the options say instead; undefined: one of them is no number. */
function sizeOf({ size }: LargeTest): Size | undefined {
  const given = SIZES.flatMap((key) =>
    values[key] === undefined ? [] : [[key, Number(values[key])] as const],
  );
  if (given.some(([, value]) => !(value > 0))) return undefined;
  return { ...size, ...Object.fromEntries(given) };
}

function defaultsOf(size: Size): string {
  const set = SIZES.filter((key) => size[key] > 0).map((key) => `--${key} ${size[key]}`);
  return `(${set.join(' ')})`;
}
