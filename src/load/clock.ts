/** What to add to `performance.now()` to get the time of the system's monotonic clock. */
const OFFSET_MS = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** Time of the monotonic clock in ms, the same in all processes of a machine. */
export function nowMs(): number {
  return performance.now() + OFFSET_MS;
}
