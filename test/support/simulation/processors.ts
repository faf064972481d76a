/** Simulated processors, which all work that can go on shares equally. Work of one group together gets one core at most. */

export interface Job {
  /** Milliseconds of processor time that are left. */
  left: number;
  /** Who does it: a program is one group however many requests it answers. */
  readonly group: string;
  readonly done: () => void;
}

export class Processors {
  readonly #cores: number;
  /** Whether a group's work can go on now. */
  readonly #runs: (group: string) => boolean;
  readonly #jobs = new Set<Job>();
  /** Milliseconds of processor time that each group has had. */
  readonly used = new Map<string, number>();

  constructor(cores: number, runs: (group: string) => boolean) {
    this.#cores = cores;
    this.#runs = runs;
  }

  add(job: Job): void {
    this.#jobs.add(job);
  }

  remove(job: Job): void {
    this.#jobs.delete(job);
  }

  /** How many milliseconds of a millisecond each job gets. */
  #shares(): Map<Job, number> {
    const groups = Map.groupBy(
      Array.from(this.#jobs).filter(({ group }) => this.#runs(group)),
      ({ group }) => group,
    );
    const each = Math.min(1, this.#cores / Math.max(1, groups.size));
    const shares = new Map<Job, number>();
    for (const jobs of groups.values()) for (const job of jobs) shares.set(job, each / jobs.length);
    return shares;
  }

  /** Goes on for so many milliseconds or until a job is done, whichever is first; tells how far it went, and which jobs are done. */
  run(atMost: number): { readonly ms: number; readonly done: readonly Job[] } {
    const shares = this.#shares();
    let ms = atMost;
    for (const [job, share] of shares) ms = Math.min(ms, job.left / share);
    const done: Job[] = [];
    for (const [job, share] of shares) {
      job.left -= ms * share;
      this.used.set(job.group, (this.used.get(job.group) ?? 0) + ms * share);
      if (job.left < 1e-6) done.push(job);
    }
    for (const job of done) this.#jobs.delete(job);
    return { ms, done };
  }
}
