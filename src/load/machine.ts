import { availableParallelism } from 'node:os';

/** Files of a worker that are not connections. */
const OTHER_FILES = 100;

/** Without a known limit. */
const USUAL_FILE_LIMIT = 20_000;

/** Connections from one address that find a port without searching long, also beside another load test; there are about 28,000 ports. */
const PORTS_PER_ADDRESS = 6000;

/** How many connections one process may have. */
export function connectionsPerProcess(): number {
  const { userLimits } = process.report.getReport() as unknown as {
    userLimits?: { open_files?: { soft: number | 'unlimited' } };
  };
  const limit = userLimits?.open_files?.soft;
  if (limit === 'unlimited') return Number.MAX_SAFE_INTEGER;
  return Math.max(1, (limit ?? USUAL_FILE_LIMIT) - OTHER_FILES);
}

/** Half of the cores, the server needs the others too; more if the clients are too many for so few processes. */
export function defaultWorkers(clients: number): number {
  const byCores = Math.max(1, Math.floor(availableParallelism() / 2));
  return Math.min(clients, Math.max(byCores, Math.ceil(clients / connectionsPerProcess())));
}

/** Whether a host of a URL is this machine. Names other than localhost are not looked up. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** Addresses to connect from; none when the system's choice is enough, or the targets are not on loopback. */
export function defaultSources(clients: number, targets: readonly string[]): string[] {
  const isFitting = targets.every((target) => /^127\./.test(new URL(target).hostname));
  if (!isFitting || clients <= PORTS_PER_ADDRESS) return [];
  return Array.from({ length: Math.ceil(clients / PORTS_PER_ADDRESS) }, (_, i) => `127.0.0.${i + 2}`);
}

/**
 * Reads addresses, in a list and in ranges within the last number: `127.0.0.2-127.0.0.5,127.0.1.1`.
 * @returns null when the text is none of that
 */
export function parseSources(text: string): string[] | null {
  const addresses: string[] = [];
  for (const item of text.split(',')) {
    const [from = '', to = from, ...rest] = item.split('-');
    const [first, last] = [partsOf(from), partsOf(to)];
    if (!first || !last || rest.length > 0 || first.network !== last.network || first.host > last.host)
      return null;
    for (let host = first.host; host <= last.host; host += 1) addresses.push(`${first.network}.${host}`);
  }
  return addresses;
}

function partsOf(address: string): { network: string; host: number } | null {
  const numbers = address.split('.');
  if (numbers.length !== 4 || !numbers.every((number) => /^\d{1,3}$/.test(number) && Number(number) <= 255))
    return null;
  return { network: numbers.slice(0, 3).join('.'), host: Number(numbers[3]) };
}
