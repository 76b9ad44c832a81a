import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Loaded into a node before it starts (`NODE_OPTIONS`): on SIGUSR2 it collects garbage and logs how much is left. */
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');
process.on('SIGUSR2', () => {
  collect();
  collect();
  console.log(JSON.stringify({ msg: 'memory', heapBytes: process.memoryUsage().heapUsed }));
});
