import type { Cluster, Redis } from 'ioredis';

/** An event as it stands in the log. */
export interface LogEntry {
  /** Id of the stream entry, unique within its partition. */
  readonly id: string;
  readonly partition: number;
  readonly type: string;
  /** Version of the shape of `data`. */
  readonly dataVersion: number;
  readonly subject: string;
  /** Version of the subject after the event. */
  readonly version: number;
  /** Id of the node that recorded it. */
  readonly node: string;
  readonly data: Readonly<Record<string, unknown>>;
}

const PAGE = 1000;

/** Reads the whole log straight from Redis: partition by partition, each in its order. */
export async function readLog(
  redis: Redis | Cluster,
  { prefix, partitions }: { readonly prefix: string; readonly partitions: number },
): Promise<LogEntry[]> {
  const log: LogEntry[] = [];
  for (let partition = 0; partition < partitions; partition += 1) {
    const key = `${prefix}{${partition}}:log`;
    let start = '-';
    for (;;) {
      const page = await redis.xrange(key, start, '+', 'COUNT', PAGE);
      for (const [id, fields] of page) log.push(parseEntry(partition, id, fields));
      if (page.length < PAGE) break;
      start = `(${page.at(-1)![0]}`;
    }
  }
  return log;
}

/** How many events there are of each type. */
export function countByType(log: readonly LogEntry[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { type } of log) counts[type] = (counts[type] ?? 0) + 1;
  return counts;
}

function parseEntry(partition: number, id: string, fields: readonly string[]): LogEntry {
  const [field, text, ...others] = fields;
  if (field !== 'e' || others.length > 0) {
    throw new Error(`Entry ${id} of partition ${partition} has the fields ${fields.join(' ')}`);
  }
  const [what, subject, version, node, ...data] = text!.split(' ');
  const [type, dataVersion = '1'] = what!.split('@');
  return {
    id,
    partition,
    type: type!,
    dataVersion: Number(dataVersion),
    subject: subject!,
    version: Number(version),
    node: node!,
    data: JSON.parse(data.join(' ')) as Record<string, unknown>,
  };
}
