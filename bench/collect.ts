import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Loaded into a gateway before it starts: it collects garbage on SIGUSR2, so that what is measured then is what is kept,
 * and tells when it has.
 */
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
process.on('SIGUSR2', () => {
  collect();
  collect();
  // not all that V8 has reserved is resident: `heapTotal` would be too much
  const { total_physical_size: heap, used_heap_size: used } = getHeapStatistics();
  process.send!({ keptBytes: process.memoryUsage.rss() - heap + used });
});
