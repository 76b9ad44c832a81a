import { setFlagsFromString } from 'node:v8';
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
  const { rss, heapTotal, heapUsed } = process.memoryUsage();
  process.send!({ keptBytes: rss - heapTotal + heapUsed });
});
