import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

const known = new Map<string, ReadonlyMap<string, boolean>>();

/** The options of a command, as its help has them, and whether each takes a value; null if there is no such command. */
export function commandOptions(command: string): ReadonlyMap<string, boolean> | null {
  if (known.size === 0) {
    for (const [, name] of help().matchAll(/^ {2}([a-z]+)(?= |$)/gm)) known.set(name!, new Map());
  }
  const options = known.get(command);
  if (options?.size !== 0) return options ?? null;
  const found = [...help(command).matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)( <)?/gm)];
  known.set(command, new Map(found.map(([, name, value]) => [name!, value !== undefined])));
  return known.get(command)!;
}

function help(...command: readonly string[]): string {
  return execFileSync(process.execPath, [CLI, ...command, '--help'], { encoding: 'utf8' });
}
