import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Loaded into a node before it starts (`NODE_OPTIONS`): on SIGUSR2 it collects garbage and logs how
 * much is left: of the heap, and resident in all without the part of the heap that nothing is in.
 */
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');
process.on('SIGUSR2', () => {
  collect();
  collect();
  const { rss, heapTotal, heapUsed } = process.memoryUsage();
  console.log(
    JSON.stringify({ msg: 'memory', heapBytes: heapUsed, residentBytes: rss - heapTotal + heapUsed }),
  );
});
