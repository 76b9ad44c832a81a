import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';

/**
 * When a process was started, as a word without blanks, so that a pid is not taken for a later one; empty if there is no such
 * process, or it is a zombie.
 */
export async function startTimeOf(pid: number): Promise<string> {
  return process.platform === 'linux' ? startTimeByProc(pid) : startTimeByPs(pid);
}

/** In clock ticks since the boot of the machine. @see proc_pid_stat(5) */
export async function startTimeByProc(pid: number): Promise<string> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? '' : fields[19]!;
  } catch {
    return '';
  }
}

/** To the second, where there is no /proc: macOS, for one. @see ps(1) */
export function startTimeByPs(pid: number): Promise<string> {
  const columns = ['-o', 'stat=', '-o', 'lstart='];
  const env = { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' };
  return new Promise((resolve) => {
    execFile('ps', [...columns, '-p', String(pid)], { env }, (error, stdout) => {
      const [state, ...time] = stdout.trim().split(/\s+/);
      resolve(error || state?.startsWith('Z') ? '' : time.join('_').replaceAll(':', '.'));
    });
  });
}
