import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { measure, onTask, type Window } from './measurement.js';

/** Events that are recorded with nothing around them: no checks, no states, no indexes. */
export interface GroupCommits extends Window {
  readonly redisUrl: string;
  /** Calls that are under way at the same time. */
  readonly lanes: number;
  /** Events of a call. */
  readonly group: number;
}

const SCRIPT = `
local events = cjson.decode(ARGV[1])
for i = 1, #events do
  redis.call('XADD', KEYS[1], '*', 'e', events[i])
end
`;

const LOG = 'bench:log';
const NODE = 'node-1-abcdefgh';

/** The events of a session that is started and logged out of. */
function cycle(): string[] {
  const id = (bytes: number) => randomBytes(bytes).toString('base64url');
  const session = `s${id(18)}`;
  const started = { accountId: `a${id(12)}`, token: id(16), node: NODE, connection: 1234 };
  return [
    `session.started ${session} 1 ${NODE} ${JSON.stringify(started)}`,
    `session.logged_out ${session} 2 ${NODE} {"by":"client"}`,
  ];
}

async function run(task: GroupCommits): Promise<void> {
  const { redisUrl, lanes, group } = task;
  const redis = new Redis(redisUrl);
  const sha = String(await redis.script('LOAD', SCRIPT));
  let isOver = false;
  let count = 0;
  const lane = async () => {
    while (!isOver) {
      const events = Array.from({ length: group / 2 }, cycle).flat();
      await redis.evalsha(sha, 1, LOG, JSON.stringify(events));
      count += group;
    }
  };
  const running = Array.from({ length: lanes }, lane);
  await measure(() => count, task);
  isOver = true;
  await Promise.all(running);
  await forget(redis);
  redis.disconnect();
}

/** Leaves nothing behind: not the log, and not what the append-only file has of it. */
async function forget(redis: Redis): Promise<void> {
  await redis.unlink(LOG);
  await redis.bgrewriteaof();
  while (/^aof_rewrite_(in_progress|scheduled):1/m.test(await redis.info('persistence'))) await delay(50);
}

onTask(run);
