import type { RedisClient } from '../../redis/client.js';
import { reading, Unavailable } from '../../redis/unavailable.js';

/** A question to Redis, and what to make of the answers. All keys are of one slot. */
export interface Check {
  readonly commands: readonly Command[];
  /**
   * What is wrong, in words; or what to ask instead, because the record has changed since.
   * @param answers to the commands, in their order
   */
  judge(answers: readonly unknown[]): readonly string[] | Check | Promise<readonly string[]>;
}

/** Named in lower case, as ioredis has it. */
export type Command = readonly [name: string, ...args: string[]];

/**
 * Makes checks while commits go on: all at once at first, and again those that found something, each in a transaction of
 * its own, so that what is found then is really so. All keys are of one slot.
 * @returns what is wrong
 * @throws Unavailable
 */
export async function runChecks(redis: RedisClient, checks: readonly Check[]): Promise<string[]> {
  const wrong: string[] = [];
  for (let i = 0; i < checks.length; i += AT_ONCE) {
    const some = checks.slice(i, i + AT_ONCE);
    const answers = await ask(
      redis,
      some.flatMap(({ commands }) => commands),
      false,
    );
    let position = 0;
    for (const check of some) {
      const found = await check.judge(answers.slice(position, position + check.commands.length));
      position += check.commands.length;
      if (isCheck(found)) wrong.push(...(await settle(redis, found)));
      else if (found.length > 0) wrong.push(...(await settle(redis, check)));
    }
  }
  return wrong;
}

const AT_ONCE = 200;
/** What changes more often than that between two looks is well alive, and is left alone. */
const TRIES = 20;

async function settle(redis: RedisClient, first: Check): Promise<readonly string[]> {
  let check = first;
  for (let i = 0; i < TRIES; i++) {
    const found = await check.judge(await ask(redis, check.commands, true));
    if (!isCheck(found)) return found;
    check = found;
  }
  return [];
}

function isCheck(found: readonly string[] | Check): found is Check {
  return 'commands' in found;
}

async function ask(
  redis: RedisClient,
  commands: readonly Command[],
  atomically: boolean,
): Promise<unknown[]> {
  const list = commands.map((command) => [...command]);
  const batch = atomically ? redis.raw.multi(list) : redis.raw.pipeline(list);
  const answers = await reading(batch.exec());
  if (!answers) throw new Unavailable();
  return answers.map(([error, answer]) => {
    if (error) throw new Unavailable(error);
    return answer;
  });
}
