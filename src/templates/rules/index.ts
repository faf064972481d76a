/**
 * The language of rules for clones (docs/rules.md): read once, kept unevaluated with a template, evaluated for each instance.
 *
 *     parseRules, parseLinks -> joinRules -> checkRules -> (for each instance) resolvePaths, evaluate
 */
export { checkRules } from './check.ts';
export type { Instance } from './instance.ts';
export { parseLinks } from './links.ts';
export { parseRules } from './parse.ts';
export type { Place } from './place.ts';
export { resolvePaths } from './resolve.ts';
export type { ResolvedPath } from './resolve.ts';
export { joinRules } from './rule-set.ts';
export type {
  Classification,
  Definition,
  EnvironmentVariable,
  Hook,
  Link,
  Redirection,
  Rule,
  RuleSet,
} from './rule-set.ts';
export { evaluate } from './text.ts';
export type { Text } from './text.ts';
