import { arch, cpus, release } from 'node:os';
import type { Redis } from 'ioredis';

/** The machine of a measurement, and the programs. */
export async function machine(redis: Redis) {
  return {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    kernel: `${process.platform} ${release()} ${arch()}`,
    node: process.versions.node,
    redis: /redis_version:(\S+)/.exec(await redis.info('server'))?.[1],
  };
}
