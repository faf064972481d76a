/** A step's executor: what it does, and how that is taken back when a later step, or its own end, fails. */
import type { Work } from '../context.ts';

export interface Executor {
  run(work: Work): Promise<void>;
  /** Takes back what `run` has done, also where it stopped half-way. It must not fail for want of anything to take back. */
  undo?(work: Work): Promise<void>;
}
