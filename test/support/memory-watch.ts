/** How much memory all applications of a lab have together, read from the kernel again and again, without asking AppShot. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cgroupRootsOf, cgroupsOf, processesOf } from './belongings.ts';
import type { Lab } from './lab.ts';

const EVERY_MS = 200;

/** Processes and groups end while we read about them. */
const textOf = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

/** What is resident and no file's. Source: proc_pid_status(5). */
const residentBytes = (pid: string): number =>
  [...textOf(`/proc/${pid}/status`).matchAll(/^Rss(?:Anon|Shmem):\s+(\d+) kB$/gm)].reduce(
    (sum, [, kib]) => sum + Number(kib) * 1024,
    0,
  );

export class MemoryWatch implements Disposable {
  readonly #roots: readonly string[];
  readonly #timer: NodeJS.Timeout;
  readonly samples: number[] = [];

  /** Of a lab with an environment at least. */
  constructor(lab: Lab) {
    const daemon = lab.daemonPid();
    this.#roots = cgroupRootsOf(processesOf(lab).filter(({ pid }) => pid !== daemon));
    this.#timer = setInterval(() => this.samples.push(this.bytes()), EVERY_MS);
  }

  /** Now. */
  bytes(): number {
    const pids = cgroupsOf(this.#roots)
      .map((group) => join(group, 'cgroup.procs'))
      .filter((path) => existsSync(path))
      .flatMap((path) => textOf(path).split('\n').filter(Boolean));
    return [...new Set(pids)].reduce((sum, pid) => sum + residentBytes(pid), 0);
  }

  get most(): number {
    return Math.max(0, ...this.samples);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
