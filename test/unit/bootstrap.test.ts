import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tempDir } from '../support/guardian.js';

const SCRIPT = readFileSync(new URL('../../scripts/bootstrap.mjs', import.meta.url), 'utf8');
const PACKAGES = { '': {}, 'node_modules/one': { version: '1.0.0', integrity: 'x' } };

/** Code that runs before the script. */
const AS_USER = 'process.getuid = () => 1000';
const NODE_20_11 =
  'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.11.1" } })';

/** The script in a clone of its own, on a machine that has only the programs it is given. */
describe('scripts/bootstrap.mjs', () => {
  let root: string;
  let bin: string;

  beforeEach(() => {
    root = tempDir();
    bin = join(root, 'bin');
    for (const folder of ['bin', 'scripts', 'src', 'node_modules']) mkdirSync(join(root, folder));
    const script = SCRIPT.replace(/^const USUAL_FOLDERS = .*$/m, 'const USUAL_FOLDERS = [];');
    writeFileSync(join(root, 'scripts', 'bootstrap.mjs'), script);
    json('package.json', { engines: { node: '>=20.12' } });
    json('package-lock.json', { packages: PACKAGES });
    json('node_modules/.package-lock.json', {
      packages: { 'node_modules/one': PACKAGES['node_modules/one'] },
    });
    symlinkSync('/bin/sh', join(bin, 'sh'));
    program(
      'npm',
      '/bin/mkdir -p dist; echo "console.log(\'started\', process.argv.slice(2))" > dist/cli.js',
    );
    program('redis-server');
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const json = (path: string, value: object) => writeFileSync(join(root, path), JSON.stringify(value));

  function program(name: string, script = ''): void {
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(bin, name), 0o755);
  }

  const without = (name: string) => rmSync(join(bin, name));
  const withoutPackages = () => rmSync(join(root, 'node_modules', '.package-lock.json'));

  function start(...before: string[]): { status: number | null; stdout: string; stderr: string } {
    const imports = before.flatMap((code) => [
      '--import',
      `data:text/javascript,${encodeURIComponent(code)}`,
    ]);
    const args = [...imports, join(root, 'scripts', 'bootstrap.mjs'), 'start', '--option'];
    return spawnSync(process.execPath, args, { env: { PATH: bin }, encoding: 'utf8' });
  }

  it('starts what is built, when all is there', () => {
    expect(start()).toMatchObject({ status: 0, stdout: "started [ 'start', '--option' ]\n" });
  });

  it('says that Node.js is too old, by a minor version, too', () => {
    expect(start(NODE_20_11)).toMatchObject({
      status: 1,
      stdout: '',
      stderr: 'This needs Node.js 20.12 or later, and this is 20.11.1.\n',
    });
  });

  it('says that the packages could not be installed, and why', () => {
    withoutPackages();
    program('npm', 'echo "no network" >&2; exit 1');
    const { status, stderr } = start();
    expect(status).toBe(1);
    expect(stderr).toBe(
      'Installing the packages …\nThe packages could not be installed (npm ci).\nno network\n',
    );
  });

  it('does not go on with other packages than those of the lock file', () => {
    withoutPackages();
    program('npm', '[ "$1" = ci ] && { echo "npm error code EUSAGE" >&2; exit 1; }; exit 0');
    const { status, stderr } = start();
    expect(status).toBe(1);
    expect(stderr).toContain('The packages that were installed are not those of package-lock.json.');
  });

  it('says that the build failed, and why', () => {
    program('npm', 'echo "src/x.ts is wrong"; exit 2');
    const { status, stderr } = start();
    expect(status).toBe(1);
    expect(stderr).toContain('The build failed (npm run build).\nsrc/x.ts is wrong\n');
  });

  it('says what to install where there is no package manager', () => {
    without('redis-server');
    const { status, stderr } = start();
    expect(status).toBe(1);
    expect(stderr).toContain('redis-server is needed and not installed. Install Redis 7.0 or later');
  });

  it.each([
    ['without sudo', []],
    ['with a sudo that asks for a password, and nobody to ask', ['sudo']],
  ])('says that installing takes root’s rights, %s', (_, programs) => {
    without('redis-server');
    program('dnf');
    for (const name of programs) program(name, 'exit 1');
    const { status, stderr } = start(AS_USER);
    expect(status).toBe(1);
    expect(stderr).toContain("redis-server is needed, and installing it takes root's rights. Install Redis");
  });

  it('asks sudo for a password at a terminal', () => {
    without('redis-server');
    program('dnf', `: > ${join(bin, 'redis-server')}; /bin/chmod 755 ${join(bin, 'redis-server')}`);
    program('sudo', '[ "$1" = -n ] && exit 1; echo "Password:"; exec "$@"');
    const { status, stdout } = start(AS_USER, 'process.stdin.isTTY = true');
    expect([status, stdout]).toEqual([0, "Password:\nstarted [ 'start', '--option' ]\n"]);
  });

  it('says that a package could not be installed, and why', () => {
    without('redis-server');
    program('dnf', 'echo "no such package: $*" >&2; exit 1');
    const { status, stderr } = start('process.getuid = () => 0');
    expect(status).toBe(1);
    expect(stderr).toMatch(/redis-server could not be installed with dnf\. .*\nno such package: install/);
  });
});
