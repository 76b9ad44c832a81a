#!/usr/bin/env node
/**
 * The second half of `check-image.sh`: runs the server of an image as a container would, and plays with it.
 *
 *   node scripts/check-image.mjs ROOT IMAGE.json
 *
 * ROOT is the image's file system, IMAGE.json what `buildah inspect --type image` says of it.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';

const [root, file] = process.argv.slice(2);
const { config } = JSON.parse(readFileSync(file, 'utf8')).Docker;
const command = [...config.Entrypoint, ...config.Cmd];
const environment = Object.fromEntries(config.Env.map((line) => line.split(/=(.*)/s).slice(0, 2)));

/** A root file system of its own that can't be written to, but for /tmp; then the image's user, without any rights. */
const CONTAINER = `
  mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && mount -t tmpfs tmpfs "$1/tmp" &&
  mount -t proc proc "$1/proc" && mount --bind /dev "$1/dev" || exit
  exec /usr/sbin/chroot "$1" setpriv --reuid "$2" --regid "$3" --clear-groups --bounding-set=-all --no-new-privs --inh-caps=-all \\
    env -C "$4" "\${@:5}"`;

const ports = await Promise.all([freePort(), freePort(), freePort()]);
const [redisPort, port, adminPort] = ports;
const data = mkdtempSync(join(tmpdir(), 'check-image-'));
const redis = spawn('redis-server', [
  '--port',
  `${redisPort}`,
  '--bind',
  '127.0.0.1',
  '--dir',
  data,
  '--save',
  '',
]);
let server;
try {
  checkContent();
  server = inContainer(command, {
    REDIS_URL: `redis://127.0.0.1:${redisPort}`,
    HOST: '127.0.0.1',
    PORT: `${port}`,
    ADMIN_PORT: `${adminPort}`,
  });
  const exited = once(server, 'exit');
  const admin = `http://127.0.0.1:${adminPort}`;
  await until(async () => (await fetch(`${admin}/readyz`)).status === 200);
  say('the server is ready, as process 1, on a read-only root');

  const client = new WebSocket(`ws://127.0.0.1:${port}/ws`);
  await once(client, 'open');
  const register = { type: 'register', payload: { username: 'jane.doe', password: 'secret1' } };
  const { payload } = await ask(client, register);
  assert.equal(payload.success, true);
  assert.deepEqual(await ask(client, { type: 'logout' }), { type: 'logged_out' });
  const again = await ask(client, { type: 'token_auth', payload: { token: payload.token } });
  assert.equal(again.type, 'auth_success');
  say('a session was held: registered, logged out, logged in by token');

  const [, ...check] = config.Healthcheck.Test;
  const health = async (adminPort) => {
    const [code] = await once(inContainer(check, { ADMIN_PORT: `${adminPort}` }), 'exit');
    return code;
  };
  assert.equal(await health(adminPort), 0);
  assert.equal(await health(port), 1); // there is no probe there
  say('the health check tells a server that lives from one that does not');

  const closed = once(client, 'close');
  process.kill(Number(readFileSync(`/proc/${server.pid}/task/${server.pid}/children`, 'utf8')), 'SIGTERM');
  assert.equal((await closed)[0], 1012);
  assert.deepEqual(await exited, [0, null]);
  say('SIGTERM drained it: the client was told 1012, exit code 0');
} finally {
  server?.kill('SIGKILL');
  redis.kill('SIGKILL');
  rmSync(data, { recursive: true, force: true });
}

function checkContent() {
  assert.equal(config.User, '1000:1000');
  const modules = join(root, 'app', 'node_modules');
  const binaries = readdirSync(join(modules, 'uWebSockets.js')).filter((name) => name.endsWith('.node'));
  assert.equal(binaries.length, 1, `binaries of uWebSockets.js: ${binaries}`);
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));
  const needless = Object.keys(packages).filter(
    (path) => packages[path].dev && existsSync(join(root, 'app', path)),
  );
  assert.deepEqual(needless, [], 'packages that only development needs');
  const find = [
    'find',
    '/',
    '-xdev',
    '-writable',
    '!',
    '-type',
    'l',
    '-not',
    '-path',
    '/proc/*',
    '-not',
    '-path',
    '/dev/*',
  ];
  const { stdout } = spawnSync('chroot', ['--userspec=1000:1000', root, ...find], { encoding: 'utf8' });
  const writable = stdout
    .split('\n')
    .filter((path) => path && !/^\/(tmp|var\/tmp|run\/lock|home\/node)(\/|$)/.test(path));
  assert.deepEqual(writable, []);
  say(
    `one binary of uWebSockets.js (${binaries[0]}), no package for development, nothing that its user can write to`,
  );
}

function inContainer(command, env) {
  const [uid, gid] = config.User.split(':');
  const script = ['bash', '-c', CONTAINER, 'container', root, uid, gid, config.WorkingDir, ...command];
  return spawn('unshare', ['--mount', '--pid', '--fork', '--kill-child', ...script], {
    env: { ...environment, ...env },
    stdio: 'inherit',
  });
}

async function ask(client, message) {
  client.send(JSON.stringify(message));
  const [answer] = await once(client, 'message');
  return JSON.parse(answer);
}

async function until(condition) {
  for (let attempts = 200; !(await condition().catch(() => false)); attempts -= 1) {
    if (attempts === 0 || server.exitCode !== null) throw new Error('the server did not become ready');
    await delay(100);
  }
}

async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

function say(line) {
  console.error(`— ${line}`);
}
