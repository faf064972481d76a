/** Turns differences into the refusal that a user reads. */
import { AppShotError, sanitiseLine } from '../../common/index.ts';
import type { Difference } from './compare.ts';

/** A machine of another make lacks dozens of features: the details have them all. */
const MOST_NAMED = 12;

const describe = ({ kind, name, saved, here }: Difference): string => {
  const what = kind === 'cpu' ? `CPU ${name}` : kind === 'file' ? `file ${name}` : name;
  return sanitiseLine(`${what} is ${here} here and was ${saved}`);
};

/**
 * Throws `FINGERPRINT_MISMATCH`, naming each difference, unless there are none or all may be forced and `force` is given. `name` is
 * the application's.
 */
export const refuseDifferences = (
  name: string,
  differences: readonly Difference[],
  { force }: { force: boolean },
): void => {
  const refused = force ? differences.filter(({ fatal }) => fatal) : differences;
  if (refused.length === 0) return;
  const more = refused.length - MOST_NAMED;
  const named = refused.slice(0, MOST_NAMED).map(describe);
  const advice = refused.some(({ fatal }) => fatal)
    ? 'it cannot be forced: see `advice` of each in the details'
    : 'see `advice` of each in the details, or give --force';
  throw new AppShotError(
    'FINGERPRINT_MISMATCH',
    { name, differences: [...named, ...(more > 0 ? [`${more} more`] : [])].join('; '), advice },
    { details: { differences: refused } },
  );
};
