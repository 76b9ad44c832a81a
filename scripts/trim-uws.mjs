#!/usr/bin/env node
/**
 * Leaves of the package uWebSockets.js, which has binaries for every platform and version of Node.js, what is loaded here.
 * For an image: an installation that is trimmed works with this version of Node.js only.
 */
import { readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);
const folder = dirname(require.resolve('uWebSockets.js'));
const { platform, arch, versions } = process;
const needed = new Set([
  'package.json',
  'LICENSE',
  'uws.js',
  'ESM_wrapper.mjs',
  `uws_${platform}_${arch}_${versions.modules}.node`,
]);
for (const name of readdirSync(folder)) {
  if (!needed.has(name)) rmSync(join(folder, name), { recursive: true });
}
await import('uWebSockets.js');
