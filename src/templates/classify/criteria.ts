/** Figure 8: what is asked about a resource for which there is no rule, and how the answers mark it. */
import type { ResourceClass } from '../../api/index.ts';

export interface Traits {
  /** Several processes of the application see the same one (366). */
  readonly shared: boolean;
  /** It can change, and the original must not change with it (370). */
  readonly modifiable: boolean;
  /** It is large, and something lies below it that stays as it is (372). */
  readonly large: boolean;
  /** What it is called by cannot mean two things at a time on one machine (378). */
  readonly systemUnique: boolean;
  /** Clients outside depend on it (380). */
  readonly exported: boolean;
  /** What it is called by cannot mean two things at a time on the network (386). */
  readonly networkUnique: boolean;
}

/** The questions in their order. A resource may get several marks; one that gets none is recreated as it was saved. */
export const standardClasses = (traits: Traits): ResourceClass[] => {
  const marks: ResourceClass[] = [];
  if (traits.shared) marks.push('shared');
  if (traits.modifiable) marks.push(traits.large ? 'copy-on-write' : 'duplicate');
  if (traits.systemUnique) marks.push(traits.exported ? 'multiplex' : 'virtualize');
  if (traits.networkUnique) marks.push('allocate');
  return marks.length === 0 ? ['plain'] : marks;
};
