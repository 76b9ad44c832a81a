import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { sessionLog } from '../../src/logger.js';

function lines(level: string): { log: ReturnType<typeof sessionLog>; logged: Record<string, unknown>[] } {
  const logged: Record<string, unknown>[] = [];
  const logger = pino(
    { level, base: null, timestamp: false },
    { write: (line) => logged.push(JSON.parse(line)) },
  );
  return { log: sessionLog(logger), logged };
}

describe('the log of changes of sessions', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('has a line for each, up to a bound in a second, and then how many more there were', () => {
    const { log, logged } = lines('info');
    for (let i = 0; i < 150; i += 1) log(`s${i}`, 'session.started');
    expect(logged).toHaveLength(100);
    expect(logged[0]).toEqual({ level: 30, session: 's0', msg: 'session.started' });
    vi.advanceTimersByTime(1000);
    expect(logged.slice(100)).toEqual([{ level: 30, events: 50, msg: 'more changes of sessions' }]);
    log('s150', 'session.logged_out');
    expect(logged.at(-1)).toMatchObject({ session: 's150' });
    vi.advanceTimersByTime(5000);
    expect(logged).toHaveLength(102);
  });

  it('has all of them at debug, and none above info', () => {
    const [thorough, quiet] = [lines('debug'), lines('warn')];
    for (let i = 0; i < 150; i += 1) {
      thorough.log(`s${i}`, 'session.started');
      quiet.log(`s${i}`, 'session.started');
    }
    vi.advanceTimersByTime(1000);
    expect(thorough.logged).toHaveLength(150);
    expect(quiet.logged).toEqual([]);
  });
});
