/** Who of several instances a new connection goes to. */
import type { ApplicationRecord } from '../registry/index.ts';

/** The sooner it answers, the rather it is asked. */
const READINESS: readonly ApplicationRecord['state'][][] = [
  ['running', 'snapshotting'],
  ['freezing', 'frozen', 'thawing'],
  ['waking', 'sleeping', 'asleep', 'rewinding', 'starting', 'registered'],
];

/** Those that a new connection may go to: all that run, or the one that is woken when none does. */
export const readiest = <T extends Pick<ApplicationRecord, 'state' | 'since' | 'aid'>>(
  instances: readonly T[],
): readonly T[] => {
  const [running = [], ...resting] = READINESS.map((states) =>
    instances.filter(({ state }) => states.includes(state)),
  );
  if (running.length > 0) return running;
  // The one that was busy last is the likeliest to be in the page cache.
  const last = resting
    .find((some) => some.length > 0)
    ?.toSorted((a, b) => (a.since < b.since ? 1 : a.since > b.since ? -1 : a.aid < b.aid ? -1 : 1))[0];
  return last ? [last] : [];
};
