import { BareLog, eventsOfCycle } from './events.js';
import { measure, onTask, type Window } from './measurement.js';

/** Events that are recorded with nothing around them. */
export interface GroupCommits extends Window {
  readonly redisUrl: string;
  /** Calls that are under way at the same time. */
  readonly lanes: number;
  /** Events of a call. */
  readonly group: number;
}

async function run(task: GroupCommits): Promise<void> {
  const { redisUrl, lanes, group } = task;
  const log = await BareLog.open(redisUrl);
  let isOver = false;
  let count = 0;
  const lane = async () => {
    while (!isOver) {
      await log.record(Array.from({ length: group / 2 }, eventsOfCycle).flat());
      count += group;
    }
  };
  const running = Array.from({ length: lanes }, lane);
  await measure(() => count, task);
  isOver = true;
  await Promise.all(running);
  log.close();
}

onTask(run);
