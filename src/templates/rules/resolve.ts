/** Redirections and links as one instance has them. */
import { isWithin, checkPlace, outside } from '../places.ts';
import type { Instance } from './instance.ts';
import type { Rule, RuleSet } from './rule-set.ts';
import { evaluate } from './text.ts';
import { searchOf } from './within.ts';

export interface ResolvedPath {
  readonly kind: 'redirect' | 'link';
  /** Absolute and normalised, as `target` is. */
  readonly path: string;
  readonly target: string;
  readonly rule: Rule;
}

const describe = ({ kind, path }: ResolvedPath): string =>
  kind === 'link' ? `the target of the link ${path}` : `the target of the redirection of ${path}`;

/** With values in place of the variables a target may come to lie where `checkRules` could not foresee it. */
const checkTarget = (resolved: ResolvedPath, find: (path: string) => ResolvedPath | undefined): void => {
  const { path, target } = resolved;
  checkPlace(target, describe(resolved));
  if (isWithin(target, path)) throw outside(describe(resolved), target, 'it would lead to itself');
  const other = find(target);
  if (other !== undefined)
    throw outside(describe(resolved), target, `${other.path} leads elsewhere; name the final place`);
};

const depthOf = ({ path }: ResolvedPath): number => path.split('/').length;

/**
 * Every redirection and link of a checked set with its target for one instance, outer paths before those within them.
 *
 * @throws AppShotError LINK_OUTSIDE: a target is not allowed; BAD_RULES: a variable of the environment is not set
 */
export const resolvePaths = (
  { redirects, links }: RuleSet,
  instance: Instance,
  environment: Readonly<Record<string, string>>,
): ResolvedPath[] => {
  const resolved: ResolvedPath[] = [
    ...redirects.map((rule) => ({
      kind: 'redirect' as const,
      path: rule.from,
      target: evaluate(rule.to, instance, environment),
      rule,
    })),
    ...links.map((rule) => ({
      kind: 'link' as const,
      path: rule.path,
      target: evaluate(rule.target, instance, environment),
      rule,
    })),
  ];
  const find = searchOf(new Map(resolved.map((one) => [one.path, one])));
  for (const one of resolved) checkTarget(one, find);
  return resolved.toSorted((one, other) => depthOf(one) - depthOf(other));
};
