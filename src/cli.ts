#!/usr/bin/env node
import { readFileSync } from 'node:fs';

// Nothing else is imported before that is settled: an older Node.js could not even load it.
const { engines } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  engines: { node: string };
};
const oldest = engines.node.replace('>=', '');
if (process.versions.node.localeCompare(oldest, 'en', { numeric: true }) < 0) {
  process.stderr.write(`This needs Node.js ${oldest} or later, and this is ${process.versions.node}.\n`);
  process.exit(1);
}

await import('./program.js');
