/** What is to happen when, on a simulated clock in milliseconds. Of the same moment, what was asked for first comes first. */

interface Entry {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

const isBefore = (a: Entry, b: Entry): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

/** A binary heap. */
export class Timeline {
  readonly #heap: Entry[] = [];
  #order = 0;

  get next(): number {
    return this.#heap[0]?.at ?? Infinity;
  }

  add(at: number, run: () => void): void {
    const heap = this.#heap;
    heap.push({ at, order: (this.#order += 1), run });
    for (let child = heap.length - 1; child > 0;) {
      const parent = (child - 1) >> 1;
      if (!this.#swap(child, parent)) return;
      child = parent;
    }
  }

  /** Takes the first out; undefined when there is none. */
  take(): (() => void) | undefined {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first?.run;
    heap[0] = last;
    for (let parent = 0; ;) {
      const [left, right] = [2 * parent + 1, 2 * parent + 2];
      const child = this.#earlier(right, left) ? right : left;
      if (!this.#swap(child, parent)) return first.run;
      parent = child;
    }
  }

  #earlier(one: number, other: number): boolean {
    const [a, b] = [this.#heap[one], this.#heap[other]];
    return a !== undefined && b !== undefined && isBefore(a, b);
  }

  #swap(child: number, parent: number): boolean {
    if (!this.#earlier(child, parent)) return false;
    const [a, b] = [this.#heap[child], this.#heap[parent]];
    if (a && b) [this.#heap[child], this.#heap[parent]] = [b, a];
    return true;
  }
}
