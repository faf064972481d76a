/** Long work beside an event loop: it is let go on whenever a few milliseconds have passed. */
import { setImmediate } from 'node:timers/promises';

const LONGEST_MS = 4;

export class Pace {
  #since = performance.now();

  /** Whether it is time to rest. Asked for each small part of the work, without the cost of a promise. */
  get due(): boolean {
    return performance.now() - this.#since > LONGEST_MS;
  }

  async rest(): Promise<void> {
    await setImmediate();
    this.#since = performance.now();
  }
}
