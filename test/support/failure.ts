import type { ErrorBody } from '../../src/common/index.ts';
import type { CommandResult } from './lab.ts';

/** The one error that a command with `--json` ended with; throws when it succeeded or told anything else. */
export const failureOf = ({ code, stdout, stderr }: CommandResult): ErrorBody => {
  if (code === 0) throw new Error(`it did not fail, but printed ${stdout}`);
  return (JSON.parse(stderr) as { error: ErrorBody }).error;
};
