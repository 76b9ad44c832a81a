import { randomInt } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { type Backend, FORMS } from '../support/backends.js';
import { login, register, tokenOf } from '../support/conversation.js';
import { Fleet } from '../support/fleet.js';
import type { NodeProcess } from '../support/processes.js';
import { Real } from './real.js';
import { Reference } from './reference.js';
import { conversations, NAMES, PASSWORD } from './steps.js';

/** To see a failure again, set SEED to what it names. */
const SEED = Number(process.env.SEED ?? randomInt(2 ** 31));

/** Whether to look for the shortest conversation that fails; takes minutes. */
const SHRINK = process.env.SHRINK !== undefined;

/** Conversations that are held with each form of Redis. */
const RUNS = Number(process.env.FUZZ_RUNS ?? 8);

const TOKENS_PER_ACCOUNT = 4;

/** Names that are accounts from the beginning. */
const REGISTERED = 2;

describe.each(FORMS)(
  'conversations of any kind, by several clients with two nodes and $name',
  ({ start }) => {
    let backend: Backend;
    let fleet: Fleet;
    let nodes: NodeProcess[];

    beforeAll(async () => {
      backend = await start();
      const env = { TOKENS_PER_ACCOUNT: `${TOKENS_PER_ACCOUNT}`, CHAT_RATE: '0' };
      fleet = new Fleet({ PARTITIONS: '4', ...backend.env, ...env }, backend.client());
      nodes = [await fleet.serve(), await fleet.serve()];
    });

    afterAll(async () => {
      await fleet?.stop();
      await backend?.stop();
    });

    it(
      `go as the reference says (SEED=${SEED})`,
      async () => {
        let runs = 0;
        await fc.assert(
          fc.asyncProperty(conversations(), async (conversation) => {
            runs += 1;
            const reference = new Reference(TOKENS_PER_ACCOUNT);
            const real = new Real(fleet, nodes, `run${runs}`);
            try {
              await begin(reference, real);
              await fc.asyncModelRun(() => ({ model: reference, real }), conversation);
              await real.expectNothingElse(reference);
            } finally {
              for (const connection of [...reference.connections.keys()]) reference.close(connection);
              await real.closeAll();
            }
            await real.expectRecorded(reference);
          }),
          { seed: SEED, numRuns: RUNS, endOnFailure: !SHRINK },
        );
        await fleet.expectConsistent();
      },
      60_000 + RUNS * 20_000,
    );

    /** Some clients are there already, on both nodes. */
    async function begin(reference: Reference, real: Real): Promise<void> {
      for (const short of NAMES.slice(0, REGISTERED)) {
        const username = real.name(short);
        const connection = await real.open(0);
        reference.open(connection);
        reference.addAccount(username, PASSWORD);
        reference.begin(
          connection,
          username,
          tokenOf(await register(real.client(connection), username, PASSWORD)),
        );
        const twin = await real.open(1);
        reference.open(twin);
        reference.begin(twin, username, tokenOf(await login(real.client(twin), username, PASSWORD)));
      }
    }
  },
);
