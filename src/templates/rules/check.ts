/** Rules that cannot hold together are refused at the later one, which names the earlier. */
import { posix } from 'node:path';
import { badRules } from './place.ts';
import type { Rule, RuleSet } from './rule-set.ts';
import { beginningOf } from './text.ts';
import type { Text } from './text.ts';
import { searchOf } from './within.ts';

const refuse = (rule: Rule, reason: string): never => {
  throw badRules(rule, reason);
};

const nameOf = ({ file, line }: Rule): string => `${file}:${line}`;

/** Refuses a second rule with the key of a first, unless both say the same. */
const checkOnce = <R extends Rule>(
  rules: readonly R[],
  keyOf: (rule: R) => string,
  explain: (rule: R, first: R) => string | undefined,
): void => {
  const seen = new Map<string, R>();
  for (const rule of rules) {
    const key = keyOf(rule);
    const first = seen.get(key);
    const reason = first === undefined ? undefined : explain(rule, first);
    if (reason !== undefined) refuse(rule, reason);
    if (first === undefined) seen.set(key, rule);
  }
};

interface PathRule {
  readonly kind: 'redirect' | 'link';
  readonly path: string;
  readonly target: Text;
  readonly rule: Rule;
  /** Grows from rule to rule as they were given. */
  readonly rank: number;
}

const inOrder = (one: PathRule, other: PathRule): readonly [first: PathRule, second: PathRule] =>
  one.rank < other.rank ? [one, other] : [other, one];

const WORD = { redirect: 'redirects', link: 'links' } as const;

const checkTwice = (paths: readonly PathRule[]): Map<string, PathRule> => {
  const sources = new Map<string, PathRule>();
  for (const path of paths) {
    const first = sources.get(path.path);
    if (first !== undefined)
      refuse(path.rule, `${nameOf(first.rule)} ${WORD[first.kind]} ${path.path} already`);
    sources.set(path.path, path);
  }
  return sources;
};

/** The rule about a path, or about the nearest directory above it for which there is one. */
type Find = (path: string) => PathRule | undefined;

/** A directory may be redirected within a redirected one; a link has nothing below it, and would be hidden below one. */
const checkNesting = (path: PathRule, find: Find): void => {
  const outer = find(posix.dirname(path.path));
  if (outer === undefined || (outer.kind === 'redirect' && path.kind === 'redirect')) return;
  const [first, second] = inOrder(outer, path);
  refuse(
    second.rule,
    `${path.path} is below ${outer.path}, and ${nameOf(first.rule)} ${WORD[first.kind]} ${first.path}: only one can hold`,
  );
};

/** As far as it can be known before the variables have values: what stands before the first of them. */
const checkTarget = (path: PathRule, find: Find): void => {
  const { beginning, isWhole } = beginningOf(path.target);
  const known = isWhole ? beginning : beginning.slice(0, Math.max(0, beginning.lastIndexOf('/')));
  const other = find(known);
  if (other === undefined) return;
  if (other === path) refuse(path.rule, `the target is within ${path.path} itself: it would lead to itself`);
  const [first, second] = inOrder(other, path);
  const explanation =
    second === path
      ? `the target is within ${other.path}, which leads elsewhere by ${nameOf(first.rule)}; name the final place`
      : `the target of ${nameOf(first.rule)} is within ${other.path}; name the final place there`;
  refuse(second.rule, explanation);
};

/** Both kinds as they were given: text by text, line by line. */
const listPaths = ({ files, redirects, links }: RuleSet): PathRule[] =>
  [
    ...redirects.map((rule) => ({ kind: 'redirect', path: rule.from, target: rule.to, rule }) as const),
    ...links.map((rule) => ({ kind: 'link', path: rule.path, target: rule.target, rule }) as const),
  ]
    .toSorted(
      ({ rule: one }, { rule: other }) =>
        files.indexOf(one.file) - files.indexOf(other.file) || one.line - other.line,
    )
    .map((path, rank) => ({ ...path, rank }));

const checkPaths = (set: RuleSet): void => {
  const paths = listPaths(set);
  const find = searchOf(checkTwice(paths));
  for (const path of paths) {
    checkNesting(path, find);
    checkTarget(path, find);
  }
};

/**
 * Whether the rules can all hold.
 *
 * @throws AppShotError BAD_RULES at the second of two that contradict each other
 */
export const checkRules = (set: RuleSet): void => {
  checkOnce(
    set.definitions,
    ({ name }) => name,
    ({ name, meaning }, first) =>
      meaning.kind === first.meaning.kind && meaning.name === first.meaning.name
        ? undefined
        : `${nameOf(first)} defines <${name}> as something else`,
  );
  checkOnce(
    set.variables,
    ({ name }) => name,
    ({ name }, first) => `${nameOf(first)} sets ${name} already`,
  );
  checkOnce(
    set.classifications,
    ({ type, pattern, access }) => JSON.stringify([type, pattern, access]),
    (rule, first) =>
      rule.class === first.class
        ? undefined
        : `${nameOf(first)} classifies the same as ${first.class.toUpperCase()}`,
  );
  checkPaths(set);
};
