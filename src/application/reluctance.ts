/** After a failed wake, packets do not wake for a while: each time twice as long, up to a minute. A command always tries. */
const FIRST_MS = 500;
const LONGEST_MS = 60_000;

export class Reluctance {
  readonly #until = new Map<string, { at: number; ms: number }>();

  refuses(aid: string): boolean {
    return performance.now() < (this.#until.get(aid)?.at ?? 0);
  }

  grow(aid: string): void {
    const ms = Math.min(LONGEST_MS, (this.#until.get(aid)?.ms ?? FIRST_MS / 2) * 2);
    this.#until.set(aid, { at: performance.now() + ms, ms });
  }

  forget(aid: string): void {
    this.#until.delete(aid);
  }
}
