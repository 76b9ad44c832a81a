import { type ChildProcess, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { eventually } from './eventually.js';
import { spawnGuarded, tempDir } from './guardian.js';
import { onFreePorts } from './ports.js';

/** Without Prometheus, what needs it is skipped. */
export const HAS_PROMETHEUS =
  spawnSync('prometheus', ['--version']).status === 0 && spawnSync('promtool', ['--version']).status === 0;

/** Runs promtool. @returns its exit code and all that it has printed */
export function promtool(args: readonly string[], input = ''): { code: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8' });
  return { code: status, output: stdout + stderr };
}

/** A Prometheus on 127.0.0.1 that scrapes every second. */
export class Prometheus {
  private constructor(
    private readonly child: ChildProcess,
    private readonly url: string,
  ) {}

  /**
   * Starts one and waits until it is ready.
   * @param targets `host:port` of what it scrapes
   * @param rules path of a file of rules
   */
  static start(targets: readonly string[], rules: string): Promise<Prometheus> {
    return onFreePorts(1, async ([port]) => {
      const dir = tempDir();
      const config = join(dir, 'prometheus.yml');
      const scrape = { job_name: 'openchamp', static_configs: [{ targets }] };
      const global = { scrape_interval: '1s', evaluation_interval: '1s' };
      writeFileSync(config, stringify({ global, rule_files: [rules], scrape_configs: [scrape] }));
      const args = [
        `--config.file=${config}`,
        `--storage.tsdb.path=${join(dir, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ];
      const child = spawnGuarded('prometheus', args, { stdio: 'ignore' });
      const url = `http://127.0.0.1:${port}`;
      await eventually(async () => (await fetch(`${url}/-/ready`)).ok, { timeoutMs: 30_000 });
      return new Prometheus(child, url);
    });
  }

  /** The values of a query, by the value that each has of a label. */
  async query(expr: string, label = 'instance'): Promise<Record<string, number>> {
    const result = await this.get<{ metric: Record<string, string>; value: [number, string] }[]>(
      `query?query=${encodeURIComponent(expr)}`,
      'result',
    );
    return Object.fromEntries(result.map(({ metric, value }) => [metric[label] ?? '', Number(value[1])]));
  }

  /** Alerts that are pending or firing, by name. */
  async alerts(): Promise<string[]> {
    const alerts = await this.get<{ labels: { alertname: string } }[]>('alerts', 'alerts');
    return [...new Set(alerts.map(({ labels }) => labels.alertname))].sort();
  }

  async stop(): Promise<void> {
    this.child.kill('SIGKILL');
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'exit');
  }

  private async get<T>(path: string, field: string): Promise<T> {
    const response = await fetch(`${this.url}/api/v1/${path}`);
    const { data } = (await response.json()) as { data: Record<string, T> };
    return data[field]!;
  }
}
