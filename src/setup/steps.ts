/** One line of progress: a step begins, is done, had nothing to do, or an attempt failed and set-up goes on with the next. */
export interface SetupStep {
  readonly name: string;
  readonly state: 'begun' | 'done' | 'unchanged' | 'failed';
  /** What is tried, was found, made, or is the reason; for people. */
  readonly detail?: string;
}

export type Report = (step: SetupStep) => void;
