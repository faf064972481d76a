/** Which addresses a network gets that did not ask for any. Pure. */
import { AppShotError } from '../common/index.ts';
import { overlap, parseNetwork } from './cidr.ts';
import type { Network } from './cidr.ts';

/** Of private addresses (RFC 1918), where they are used least: 65,000 applications each. */
const CANDIDATES = Array.from({ length: 245 }, (_, index) => `10.${index + 11}.0.0/16`);

/** The first that overlaps none of these. Throws `NETWORKS_EXHAUSTED`. */
export const chooseNetwork = (taken: readonly Pick<Network, 'base' | 'prefix'>[]): Network => {
  const free = CANDIDATES.map(parseNetwork).find((one) => !taken.some((other) => overlap(one, other)));
  if (free) return free;
  throw new AppShotError('NETWORKS_EXHAUSTED', {});
};
