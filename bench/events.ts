import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';

const NODE = 'node-1-abcdefgh';

/** Records events in a stream, and does nothing else: no checks, no states, no indexes. */
const SCRIPT = `
local events = cjson.decode(ARGV[1])
for i = 1, #events do
  redis.call('XADD', KEYS[1], '*', 'e', events[i])
end
`;

/** The events of a session that is started and logged out of, as they stand in the log. */
export function eventsOfCycle(): [started: string, loggedOut: string] {
  const id = (bytes: number) => randomBytes(bytes).toString('base64url');
  const session = `s${id(18)}`;
  const started = { accountId: `a${id(12)}`, token: id(16), node: NODE, connection: 1234 };
  return [
    `session.started ${session} 1 ${NODE} ${JSON.stringify(started)}`,
    `session.logged_out ${session} 2 ${NODE} {"by":"client"}`,
  ];
}

/** The stream of a bare Redis that they are recorded in. */
const LOG = 'bench:log';

export class BareLog {
  private constructor(
    private readonly redis: Redis,
    private readonly sha: string,
  ) {}

  static async open(redisUrl: string): Promise<BareLog> {
    const redis = new Redis(redisUrl);
    return new BareLog(redis, String(await redis.script('LOAD', SCRIPT)));
  }

  /** Records events in one call. */
  async record(events: readonly string[]): Promise<void> {
    await this.redis.evalsha(this.sha, 1, LOG, JSON.stringify(events));
  }

  close(): void {
    this.redis.disconnect();
  }
}

/** Leaves nothing of what was recorded: not the stream, and not what the append-only file has of it. */
export async function forgetEvents(redis: Redis): Promise<void> {
  await redis.unlink(LOG);
  await redis.bgrewriteaof();
  while (/^aof_rewrite_(in_progress|scheduled):1/m.test(await redis.info('persistence'))) await delay(50);
}
