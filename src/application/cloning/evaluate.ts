/** What rules come to for one application: where its links and redirections lead, and what they set in its environment. */
import type { ChainSpec, LinkSpec, RulesSource } from '../../api/index.ts';
import type { Identity } from '../../harness/index.ts';
import {
  checkRules,
  evaluate,
  joinRules,
  parseLinks,
  parseRules,
  resolvePaths,
} from '../../templates/index.ts';
import type { Places, RuleSet } from '../../templates/index.ts';

/** What messages call links that are given without a file. */
const OPTION = '--link';

/**
 * Reads rules and links. Fails with `BAD_RULES` where they cannot be read, or contradict one another, and with `LINK_OUTSIDE` where a
 * path cannot be a link.
 */
export const readRules = (sources: readonly RulesSource[], links: readonly LinkSpec[]): RuleSet => {
  const rules = joinRules([
    parseLinks(links, OPTION),
    ...sources.map(({ file, text }) => parseRules(text, file)),
  ]);
  checkRules(rules);
  return rules;
};

export const readRulesOf = ({ rules = [], links = [] }: Pick<ChainSpec, 'rules' | 'links'>): RuleSet =>
  readRules(rules, links);

/** The environment that the application was given; of several processes, the first one's counts. */
export const environmentOf = ({ processes }: Pick<ChainSpec, 'processes'>): Record<string, string> =>
  Object.assign({}, ...processes.toReversed().map(({ environment }) => environment)) as Record<
    string,
    string
  >;

export interface Evaluated {
  readonly places: Places;
  readonly variables: Readonly<Record<string, string>>;
}

/** Fails with `BAD_RULES` for a variable that the environment lacks, and with `LINK_OUTSIDE`. */
export const evaluateRules = (
  rules: RuleSet,
  { variables: _variables, ...identity }: Identity,
  spec: Pick<ChainSpec, 'processes'>,
): Evaluated => {
  const environment = environmentOf(spec);
  const resolved = resolvePaths(rules, identity, environment);
  const of = (kind: 'link' | 'redirect'): typeof resolved => resolved.filter((one) => one.kind === kind);
  return {
    places: {
      links: of('link').map(({ path, target }) => ({ path, target })),
      redirects: of('redirect').map(({ path, target }) => ({ from: path, to: target })),
    },
    variables: Object.fromEntries(
      rules.variables.map(({ name, value }) => [name, evaluate(value, identity, environment)]),
    ),
  };
};
