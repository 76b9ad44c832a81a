#!/usr/bin/env node
/**
 * From a fresh clone to a running server (`npm start`), a cluster on this machine (`npm run cluster`) or a tested server
 * (`npm test`): sees to the packages, the build, redis-server, and haproxy for a cluster, each only if it isn't there
 * already, and goes on with what was asked for.
 *
 *   node scripts/bootstrap.mjs start [options of `openchamp start`]
 *   node scripts/bootstrap.mjs cluster [options of `openchamp cluster`]
 *   node scripts/bootstrap.mjs test [options and filters of vitest]
 *   node scripts/bootstrap.mjs packages
 *   node scripts/bootstrap.mjs bench [options of the benchmark]
 *   node scripts/bootstrap.mjs bench:large [test and its options]
 *   node scripts/bootstrap.mjs bench:micro [options and filters of vitest]
 *
 * It runs before there are any packages, so it uses none.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  accessSync,
  constants,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { constants as osConstants, tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const CLI = join(ROOT, 'dist', 'cli.js');
const BENCH = join(ROOT, 'dist', 'bench', 'bench');
const VITEST = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
const BUILD_STAMP = join(ROOT, 'dist', '.stamp');

/** Where programs may be though the PATH doesn't say so. */
const USUAL_FOLDERS = ['/usr/bin', '/usr/sbin', '/usr/local/bin', '/usr/local/sbin', '/opt/homebrew/bin'];

/** What is needed, and the packages that have it where they aren't named like it. */
const REDIS = {
  program: 'redis-server',
  advice: 'Install Redis 7.0 or later (on Debian and Ubuntu: apt install redis-server) and try again.',
  packages: { dnf: '/usr/bin/redis-server', yum: 'redis', apk: 'redis', pacman: 'valkey', brew: 'redis' },
};
const HAPROXY = {
  program: 'haproxy',
  advice: 'Install HAProxy 2.6 or later (on Debian and Ubuntu: apt install haproxy) and try again.',
  packages: {},
};

/** How each package manager installs a package, as a script of `sh`. The first one that is there is taken. */
const INSTALLERS = [
  { manager: 'apt-get', script: aptScript },
  { manager: 'dnf', script: (name) => `dnf install -y -q ${name}` },
  { manager: 'yum', script: (name) => `yum install -y -q ${name}` },
  { manager: 'apk', script: (name) => `apk add -q ${name}` },
  { manager: 'pacman', script: (name) => `pacman -S --noconfirm --needed ${name}` },
  { manager: 'brew', script: (name) => `brew install ${name}`, asUser: true },
];

const [command, ...rest] = process.argv.slice(2);
const oldestNode = readJson('package.json').engines.node.replace('>=', '');
if (process.versions.node.localeCompare(oldestNode, 'en', { numeric: true }) < 0) {
  fail(`This needs Node.js ${oldestNode} or later, and this is ${process.versions.node}.`);
}
const COMMANDS = {
  packages: () => {},
  start,
  cluster,
  test: testWithPrograms,
  bench: (options) => bench('run.js', options),
  'bench:large': (options) => bench('large.js', options),
  'bench:micro': microBench,
};
if (!Object.hasOwn(COMMANDS, command ?? '')) {
  fail(`Usage: node scripts/bootstrap.mjs ${Object.keys(COMMANDS).join('|')} [options]`);
}

ensurePackages();
await COMMANDS[command](rest);

/**
 * `npm ci` refuses a lock file that was made where the registry lacks optional packages of other platforms. Then
 * `npm install` does it, which is held to the lock file here: everything it has put there must be as the file says.
 */
function ensurePackages() {
  if (packagesAreInstalled()) return;
  say('Installing the packages …');
  const options = ['--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error'];
  const npm = run('npm', ['ci', ...options]);
  if (npm.status === 0) return;
  if (!npm.stderr?.includes('code EUSAGE')) fail('The packages could not be installed (npm ci).', npm);
  say(
    'package-lock.json is not complete for `npm ci`; installing what it lists with `npm install --no-save` …',
  );
  const second = run('npm', ['install', '--no-save', ...options]);
  if (second.status !== 0) fail('The packages could not be installed (npm install --no-save).', second);
  if (!packagesAreInstalled()) {
    fail('The packages that were installed are not those of package-lock.json. npm ci says:', npm);
  }
}

/** npm leaves in node_modules a list of what it has put there; it must be what package-lock.json asks for. */
function packagesAreInstalled() {
  const installed = readJson('node_modules/.package-lock.json')?.packages;
  if (!installed) return false;
  const { '': _root, ...wanted } = readJson('package-lock.json').packages;
  const right = Object.entries(wanted).every(([path, { version, integrity, optional }]) => {
    const found = installed[path];
    return found ? found.version === version && found.integrity === integrity : optional; // for another platform
  });
  return right && Object.keys(installed).every((path) => path in wanted);
}

function ensureBuild() {
  const hash = hashOfSources();
  if (isFile(CLI) && readText(BUILD_STAMP) === hash) return;
  say('Building …');
  rmSync(dirname(CLI), { recursive: true, force: true });
  const npm = run('npm', ['run', '--silent', 'build']);
  if (npm.status !== 0) fail('The build failed (npm run build).', npm);
  writeFileSync(BUILD_STAMP, hash);
}

/** Of everything that decides what the build makes. */
function hashOfSources() {
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true }).map((path) => join('src', path));
  const settings = readdirSync(ROOT).filter((name) => /^(package(-lock)?|tsconfig.*)\.json$/.test(name));
  const hash = createHash('sha256');
  for (const path of [...sources, ...settings].sort()) {
    if (isFile(join(ROOT, path))) hash.update(`${path}\0${readText(join(ROOT, path))}\0`);
  }
  return hash.digest('hex');
}

/** Sees to a program that can't be done without. */
function ensureProgram({ program, advice, packages }) {
  if (isOnThePath(program)) return;
  const installer = INSTALLERS.find(({ manager }) => findProgram(manager));
  if (!installer) fail(`${program} is needed and not installed. ${advice}`);
  const { manager, script, asUser } = installer;
  const isAllowed = process.getuid?.() === 0 || asUser;
  const mayAsk = process.stdin.isTTY === true; // for a password
  if (!isAllowed && (!findProgram('sudo') || !(mayAsk || run('sudo', ['-n', 'true']).status === 0))) {
    fail(`${program} is needed, and installing it takes root's rights. ${advice}`);
  }
  const prefix = isAllowed ? [] : mayAsk ? ['sudo'] : ['sudo', '-n'];
  say(`Installing ${program} with ${manager} …`);
  const [command, ...args] = [...prefix, 'sh', '-c', script(packages[manager] ?? program)];
  const result = run(command, args, prefix.length > 0 && mayAsk ? 'inherit' : undefined);
  if (result.status !== 0 || !isOnThePath(program)) {
    fail(`${program} could not be installed with ${manager}. ${advice}`, result);
  }
}

/** Where it can't be had, the tests that need it are skipped. */
function ensureForTests(program) {
  const mayInstall = findProgram('apt-get') && process.getuid?.() === 0;
  if (isOnThePath(program) || !mayInstall) return;
  say(`Installing ${program} with apt-get …`);
  run('sh', ['-c', aptScript(program)]);
}

/** Looks in the usual folders, too, and adds the one where it is to the PATH. */
function isOnThePath(program) {
  const folder = findProgram(program, USUAL_FOLDERS);
  if (folder && !pathFolders().includes(folder))
    process.env.PATH = [...pathFolders(), folder].join(delimiter);
  return folder !== undefined;
}

/** Debian's packages start and enable services of the system's, which nobody has asked for. */
function aptScript(name) {
  return `
    set -eu
    export DEBIAN_FRONTEND=noninteractive
    guard=/usr/sbin/policy-rc.d
    if [ ! -e "$guard" ]; then
      trap 'rm -f "$guard"' EXIT
      trap 'exit 1' HUP INT TERM
      printf '#!/bin/sh\\nexit 101\\n' >"$guard"
      chmod 755 "$guard"
    fi
    apt-get update -qq || echo 'apt-get update failed; trying with the lists there are' >&2
    apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 ${name}
    if [ ! -e /etc/init.d/${name} ]; then exit 0; fi
    if command -v systemctl >/dev/null; then
      systemctl disable --quiet ${name} || true
    else
      DPKG_MAINTSCRIPT_PACKAGE=${name} deb-systemd-helper disable ${name}.service || true
      update-rc.d ${name} disable || true
    fi`;
}

/** What running the server takes. */
function ensureServer() {
  ensureBuild();
  ensureProgram(REDIS);
}

/** The server runs in this process: its signals and its exit code need no passing on. */
async function start(options) {
  ensureServer();
  process.argv = [process.argv[0], CLI, 'start', ...options];
  await import(pathToFileURL(CLI).href);
}

async function cluster(options) {
  ensureServer();
  ensureProgram(HAPROXY);
  process.argv = [process.argv[0], CLI, 'cluster', ...options];
  await import(pathToFileURL(CLI).href);
}

async function testWithPrograms(options) {
  ensureServer();
  for (const program of ['faketime', 'haproxy', 'prometheus']) ensureForTests(program);
  process.exitCode = await test(options);
}

/** Builds the benchmarks, which are no part of the server, and runs one of them. */
async function bench(script, options) {
  ensureServer();
  const tsc = run(process.execPath, [join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', 'bench']);
  if (tsc.status !== 0) fail('The benchmark could not be built.', tsc);
  process.exitCode = await runAttached(process.execPath, [join(BENCH, script), ...options]);
}

async function microBench(options) {
  ensureServer();
  process.exitCode = await runAttached(process.execPath, [VITEST, 'bench', '--run', ...options]);
}

/** Runs vitest; the last line printed says how many tests passed and failed. */
async function test(options) {
  const folder = mkdtempSync(join(tmpdir(), 'openchamp-test-'));
  const report = join(folder, 'report.json');
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const exitCode = await runAttached(process.execPath, [VITEST, 'run', ...reporters, ...options]);
    return summarize(readJson(report), exitCode);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @returns the exit code: vitest's, or 1 if nothing was tested */
function summarize(report, exitCode) {
  if (!report) {
    say('vitest left no report.');
    return exitCode || 1;
  }
  const { numPassedTests: passed, numPendingTests, numTodoTests, testResults } = report;
  const broken = testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((t) => t.status === 'failed'),
  );
  const failed = report.numFailedTests + broken.length; // a file that can't be run counts as a failed test
  const skipped = numPendingTests + numTodoTests;
  if (exitCode !== 0 && failed === 0)
    say(`vitest exited with ${exitCode} for a reason outside the tests, see above.`);
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  return passed + failed === 0 ? exitCode || 1 : exitCode;
}

/** A terminal's Ctrl-C reaches the child by itself: this only mustn't end before it. Others are passed on. */
function runAttached(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: ROOT, stdio: 'inherit' });
    process.on('SIGINT', () => {});
    process.on('SIGTERM', (signal) => child.kill(signal));
    process.on('SIGHUP', (signal) => child.kill(signal));
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? 128 + osConstants.signals[signal]));
  });
}

function run(program, args, stdio = ['ignore', 'pipe', 'pipe']) {
  return spawnSync(program, args, { cwd: ROOT, stdio, encoding: 'utf8' });
}

function findProgram(name, moreFolders = []) {
  return [...pathFolders(), ...moreFolders].find((folder) => isFile(join(folder, name), constants.X_OK));
}

function pathFolders() {
  return (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
}

function isFile(path, mode = constants.R_OK) {
  try {
    accessSync(path, mode);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function readText(path) {
  return isFile(path) ? readFileSync(path, 'utf8') : undefined;
}

/** Undefined if there is no such file, or it was not written to its end. `path` may be relative to the root. */
function readJson(path) {
  try {
    return JSON.parse(readText(path.startsWith('/') ? path : join(ROOT, path)));
  } catch {
    return undefined;
  }
}

function say(line) {
  console.error(line);
}

function fail(sentence, { stdout, stderr, error } = {}) {
  const output = [stdout, stderr, error?.message].filter((text) => text?.trim()).map((text) => text.trim());
  console.error([sentence, ...output].join('\n'));
  process.exit(1);
}
