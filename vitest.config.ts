import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: process.env.SOAK_MINUTES ? [] : ['test/soak/**'],
    benchmark: { include: ['bench/**/*.bench.ts'] },
    pool: 'forks',
    maxWorkers: 2, // most of them wait for something most of the time
    retry: process.env.CI ? 1 : 0, // real processes on a machine that others use, too; what fails twice has failed
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 10_000 } },
  },
});
