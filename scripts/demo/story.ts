/** What the demo prints: a numbered step with its result below it. */

/** A step that did not do what it shows. */
export class StepFailed extends Error {
  constructor(step: string, cause: unknown) {
    super(`${step}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

let steps = 0;

/** Runs one step and prints what it found, one line each. Throws `StepFailed` when it fails, so that nothing is shown as done. */
export const step = async (title: string, work: () => Promise<readonly string[]>): Promise<void> => {
  console.log(`${++steps}. ${title}`);
  const found = await work().catch((cause: unknown) => {
    throw new StepFailed(`step ${steps} (${title})`, cause);
  });
  for (const line of found) console.log(`   ${line}`);
};

/** Throws when what a step should show is not so. */
export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}
