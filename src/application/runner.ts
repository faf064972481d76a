/**
 * Takes the steps of a plan. The registry knows the step under way before it begins, so that a daemon that is killed anywhere can be
 * followed by one that finishes or undoes. When a step fails, it and all before it are undone, last first.
 */
import type { Work } from './context.ts';
import type { Plan, Step } from './states.ts';
import { EXECUTORS } from './steps/index.ts';

/** A step's failure, with the step's name. */
export class StepError extends Error {
  readonly step: Step;

  constructor(step: Step, cause: unknown) {
    super(`${step} failed`, { cause });
    this.step = step;
  }
}

const takeStep = async (work: Work, operation: string, step: Step): Promise<void> => {
  const { house } = work;
  const begun = performance.now();
  // A wake is followed up by what PID 1 of its environment tells, so nobody asks for its step, and each row takes time.
  if (operation === 'wake') work.record = { ...work.record, step };
  else work.record = await house.registry.update(work.record.aid, { step });
  house.faults.at(operation, step, 'before', work.environment);
  await EXECUTORS[step].run(work);
  house.faults.at(operation, step, 'after', work.environment);
  work.timings.push({ step, ms: performance.now() - begun });
};

const undo = async (work: Work, steps: readonly Step[]): Promise<void> => {
  for (const step of steps.toReversed())
    try {
      await EXECUTORS[step].undo?.(work);
    } catch (err) {
      work.house.log.error({ err, aid: work.record.aid, step }, 'undoing a step failed');
    }
};

/** Takes all steps of a plan, or none, unless one has made the outcome stand. Rejects with a `StepError`. */
export const takeSteps = async (work: Work, { operation, steps }: Plan): Promise<void> => {
  const taken: Step[] = [];
  try {
    for (const step of steps) {
      taken.push(step);
      await takeStep(work, operation, step);
    }
  } catch (error) {
    if (!work.committed) await undo(work, taken);
    throw new StepError(taken.at(-1) ?? 'check', error);
  } finally {
    for (const close of work.closers.splice(0)) close();
  }
};
