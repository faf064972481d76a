/** One line of progress: a step that begins, ends, or had nothing to do. */
export interface SetupStep {
  readonly name: string;
  readonly state: 'begun' | 'done' | 'unchanged';
  /** What was found or made, for people. */
  readonly detail?: string;
}

export type Report = (step: SetupStep) => void;
