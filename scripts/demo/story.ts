/** What the demo prints: a numbered step with its result below it, and a table. */

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

/** Columns of equal width, the first to the left, the others to the right. */
export const table = (rows: readonly (readonly string[])[]): string[] => {
  const columns = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, at) =>
    Math.max(...rows.map((row) => (row[at] ?? '').length)),
  );
  const cell = (text: string, at: number): string =>
    at === 0 ? text.padEnd(widths[at] ?? 0) : text.padStart(widths[at] ?? 0);
  return rows.map((row) => row.map(cell).join('   ').trimEnd());
};
