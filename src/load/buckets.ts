/** A histogram as Prometheus counts it: by bound, the last infinite, how many were at most so much. */
export type Buckets = ReadonlyMap<number, number>;

/** Reads a histogram without labels from what a process tells Prometheus; empty when there is none of that name. */
export function bucketsIn(text: string, name: string): Buckets {
  const lines = text.matchAll(new RegExp(`^${name}_bucket{le="([^"]+)"} (\\d+)$`, 'gm'));
  return new Map(
    [...lines].map(([, bound, count]) => [Number(bound!.replace('+Inf', 'Infinity')), Number(count)]),
  );
}

/** What has been added to a histogram between two looks at it. */
export function added(before: Buckets, after: Buckets): Buckets {
  return new Map([...after].map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)]));
}

/**
 * What a share of all was at most, as Prometheus' `histogram_quantile` tells it: evenly spread within a bucket; the largest
 * bound for what is beyond it. 0 when there is nothing.
 * @param share from 0 to 1
 */
export function quantile(buckets: Buckets, share: number): number {
  const wanted = share * (buckets.get(Infinity) ?? 0);
  let [bound, count] = [0, 0];
  for (const [nextBound, nextCount] of buckets) {
    if (nextBound === Infinity) break;
    if (nextCount >= wanted && nextCount > count) {
      return bound + ((nextBound - bound) * (wanted - count)) / (nextCount - count);
    }
    [bound, count] = [nextBound, nextCount];
  }
  return count < wanted ? bound : 0;
}

/** The bound that nothing was above; infinite when something was beyond all of them, 0 when there is nothing. */
export function ceiling(buckets: Buckets): number {
  const total = buckets.get(Infinity) ?? 0;
  if (total === 0) return 0;
  return [...buckets].find(([, count]) => count === total)![0];
}
